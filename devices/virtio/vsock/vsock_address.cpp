// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/vsock_address.hpp"

// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <fmt/format.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "devices/virtio/vsock/vsock_spec.hpp"

namespace gpuvm {
namespace {

/// Addresses that are chosen lie far above the small ones that people give by hand.
constexpr std::uint32_t kFirstChosen = 0x10000;
constexpr std::uint32_t kChosen = 0x7fff0000;  ///< so many, below 2^31: some tools take no more
/// More neighbours of one address in use than any host has guests.
constexpr std::uint32_t kMostTries = 1024;

}  // namespace

/// By FNV-1a of 64 bits (RFC 9923), which never changes.
std::uint32_t VsockAddress::preferred(std::string_view guest) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : guest) {
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  }
  return kFirstChosen + static_cast<std::uint32_t>((hash ^ hash >> 32) % kChosen);
}

Result<bool> VsockAddress::of_kernel(int vhost, std::uint32_t cid) {
  const std::uint64_t argument = cid;
  if (::ioctl(vhost, VHOST_VSOCK_SET_GUEST_CID, &argument) == 0) {
    return true;
  }
  if (errno == EADDRINUSE) {
    return false;
  }
  return fail_errno(ErrorKind::kHost, "vhost-vsock: VHOST_VSOCK_SET_GUEST_CID");
}

Result<VsockAddress> VsockAddress::take(UniqueFd vhost, std::optional<std::uint32_t> wanted,
                                        std::string_view guest, const Take& take) {
  if (wanted) {
    if (!TRY(take(vhost.get(), *wanted))) {
      return fail(ErrorKind::kConfig,
                  "vsock.cid = {} is another guest's of this host: choose another one, or remove "
                  "the key, and gpuvm chooses one that is free",
                  *wanted);
    }
    return VsockAddress(std::move(vhost), *wanted);
  }
  const std::uint32_t first = preferred(guest) - kFirstChosen;
  for (std::uint32_t i = 0; i < kMostTries; ++i) {
    const std::uint32_t cid = kFirstChosen + (first + i) % kChosen;
    if (TRY(take(vhost.get(), cid))) {
      return VsockAddress(std::move(vhost), cid);
    }
  }
  return fail(ErrorKind::kHost,
              "vsock: {} addresses from {} on are all in use on this host: set vsock.cid",
              kMostTries, kFirstChosen + first);
}

}  // namespace gpuvm
