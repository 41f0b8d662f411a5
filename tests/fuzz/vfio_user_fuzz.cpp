// SPDX-License-Identifier: Apache-2.0
// Fuzz target: what a vfio-user server sends. The input is what the server answers, one piece for
// each message that it gets: 16 bits of length, 8 bits that say how many file descriptors go with
// it, then bytes. Whatever they are, opening and using the function ends, and what it let through
// is safe to act on.
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "devices/physical/vfio_user/vfio_user_device.hpp"

namespace {

using gpuvm::RegionIndex;
using gpuvm::UniqueFd;

constexpr std::size_t kFileSize = 0x202000;  // enough for the regions of the corpus
constexpr std::uint64_t kPage = 0x1000;

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void send_piece(int socket, std::span<const std::uint8_t> bytes, std::size_t fds, int file) {
  iovec part{.iov_base = const_cast<std::uint8_t*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fds != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds * sizeof(int));
    for (std::size_t i = 0; i < fds; ++i) {
      std::memcpy(CMSG_DATA(header) + i * sizeof file, &file, sizeof file);
    }
  }
  static_cast<void>(::sendmsg(socket, &message, MSG_NOSIGNAL));
}

/// Answers each message with the next piece; hangs up when there is none.
void serve(UniqueFd end, std::span<const std::uint8_t> input) {
  const UniqueFd file(::memfd_create("fuzz", MFD_CLOEXEC));
  require(::ftruncate(file.get(), kFileSize) == 0);
  gpuvm::vfio_user::MessageSocket reader(UniqueFd(::dup(end.get())));
  while (input.size() >= 3 && reader.receive()) {
    const std::size_t wanted = input[0] | static_cast<std::size_t>(input[1]) << 8;
    const std::size_t fds = input[2] % 10;
    input = input.subspan(3);
    const auto piece = input.first(std::min(wanted, input.size()));
    input = input.subspan(piece.size());
    if (!piece.empty()) {
      send_piece(end.get(), piece, fds, file.get());
    }
  }
  reader.shut_down();
}

void check_region(gpuvm::VfioUserDevice& device, unsigned index) {
  const auto region = static_cast<RegionIndex>(index);
  const auto& info = device.region(region);
  require(index > 5 || info.size == 0 || (info.size & (info.size - 1)) == 0);
  require(region != RegionIndex::kConfig || (info.size >= 256 && info.size <= 4096));
  for (const auto& area : info.sparse_areas) {
    require(area.size != 0 && area.offset < info.size && area.size <= info.size - area.offset);
  }
  auto area = gpuvm::RegionArea{0, info.size};
  if (!info.sparse_areas.empty()) {
    area = info.sparse_areas.front();
  }
  area.size = area.size / kPage * kPage;
  if (info.mappable && area.size != 0) {
    auto mapping = device.map(region, area, kPage);
    require(!mapping || mapping->size() == area.size);
    if (mapping && info.writable) {
      mapping->bytes().back() = std::byte{1};  // a file that is too short would end us here
    }
  }
}

void use(gpuvm::VfioUserDevice& device) {
  for (unsigned index = 0; index < gpuvm::RegionTable::kPciRegions; ++index) {
    check_region(device, index);
  }
  require(device.irq(gpuvm::IrqType::kMsix).count <= 2048);
  std::array<std::byte, 4> bytes{};
  static_cast<void>(device.read(RegionIndex::kConfig, 0, bytes));
  static_cast<void>(device.write(RegionIndex::kConfig, 4, bytes));
  static_cast<void>(device.slot_reset());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  std::thread server([end = UniqueFd(ends[1]), input = std::span(data, size)]() mutable {
    serve(std::move(end), input);
  });
  {
    const auto device = gpuvm::VfioUserDevice::adopt(
        "fuzz", UniqueFd(ends[0]),
        {.timeout = std::chrono::milliseconds(20), .reset_timeout = std::chrono::milliseconds(20)});
    if (device) {
      use(**device);
    } else {
      require(device.error().to_string().find('\n') == std::string::npos);
    }
  }
  server.join();
  return 0;
}
