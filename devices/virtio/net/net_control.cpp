// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net_control.hpp"

#include <array>

#include "devices/virtio/net/net_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

Result<std::uint32_t> NetControl::execute(DescriptorChain& chain) const {
  constexpr std::size_t kHead = 2;
  if (chain.readable.size() < kHead || chain.writable.size() == 0) {
    return fail(ErrorKind::kGuest, "A command with {} bytes to read and {} to write is none",
                chain.readable.size(), chain.writable.size());
  }
  const std::array answer{is_done(chain.readable) ? virtio_net::kDone : virtio_net::kRefused};
  chain.writable.fill(answer);
  return static_cast<std::uint32_t>(answer.size());
}

/// Class and command, then what the command needs and no more.
bool NetControl::is_done(GuestBuffer& command) const {
  std::array<std::byte, 4> bytes{};
  if (command.size() != bytes.size() || !command.take(bytes)) {
    return false;
  }
  const std::span all(bytes);
  const auto pairs = static_cast<std::uint16_t>(load_le(all.subspan(2, 2)));
  if (bytes[0] != virtio_net::kClassPairs || bytes[1] != virtio_net::kUsePairs || pairs == 0 ||
      pairs > most_pairs_) {
    return false;
  }
  const auto used = use_pairs_(pairs);
  if (!used) {
    log::debug("{}", used.error().to_string());
  }
  return used.has_value();
}

}  // namespace gpuvm
