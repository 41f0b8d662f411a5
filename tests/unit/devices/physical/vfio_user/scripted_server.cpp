// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/devices/physical/vfio_user/scripted_server.hpp"

#include <sys/mman.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>

namespace gpuvm::test {
namespace {

using namespace vfio_user;

void require(bool ok) {
  if (!ok) {
    std::abort();
  }
}

template <class T>
Bytes bytes_of(const T& value) {
  Bytes bytes;
  append_bytes(bytes, value);
  return bytes;
}

void put(std::span<std::byte> bytes, std::size_t offset, std::size_t width, std::uint64_t value) {
  store_le(bytes.subspan(offset, width), value);
}

}  // namespace

ScriptedServer::ScriptedServer() : bar2(::memfd_create("bar2", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  require(::ftruncate(bar2.get(), static_cast<off_t>(kBar2Offset + kBar2Size)) == 0);
  put(config, 0x00, 4, 0x56781234);
  put(config, 0x06, 2, 0x0010);  // has capabilities
  put(config, 0x0a, 2, 0x0302);
  put(config, 0x34, 1, kExpress);
  put(config, kExpress, 2, 0x0010);
  put(config, kExpress + 2, 2, 0x0002);
  put(config, kExpress + 4, 4, 1U << 28);  // function level reset
}

ScriptedServer::~ScriptedServer() {
  if (socket_) {
    socket_->shut_down();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

UniqueFd ScriptedServer::start() {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  client_ = UniqueFd(ends[0]);
  server_fd_ = ends[1];
  socket_ = std::make_unique<MessageSocket>(UniqueFd(ends[1]));
  thread_ = std::thread([this] { serve(); });
  return std::move(client_);
}

void ScriptedServer::serve() {
  for (;;) {
    auto message = socket_->receive();
    if (!message) {
      return;
    }
    // Noted before it is answered: whoever got the answer may ask.
    const Message& kept = note(std::move(message).value());
    const auto handler = handlers_.find(static_cast<Command>(kept.header.command));
    if (handler != handlers_.end()) {
      handler->second(kept);
    } else if ((kept.header.flags & kTypeMask) == kTypeCommand) {
      behave(kept);
    }
  }
}

const Message& ScriptedServer::note(Message message) {
  const auto command = static_cast<Command>(message.header.command);
  const MutexLock lock(mutex_);
  commands_.push_back(command);
  return last_[command] = std::move(message);
}

void ScriptedServer::behave(const Message& message) {
  std::vector<int> fds;
  const auto payload = payload_for(message, fds);
  answer(message, payload, fds);
}

void ScriptedServer::answer(const Message& message, std::span<const std::byte> payload,
                            std::span<const int> fds) {
  static_cast<void>(socket_->send({.id = message.header.id,
                                   .command = message.header.command,
                                   .size = 0,
                                   .flags = kTypeReply,
                                   .error = 0},
                                  payload, fds));
}

void ScriptedServer::answer_error(const Message& message, std::uint32_t error) {
  static_cast<void>(socket_->send({.id = message.header.id,
                                   .command = message.header.command,
                                   .size = 0,
                                   .flags = kTypeReply | kError,
                                   .error = error},
                                  {}, {}));
}

void ScriptedServer::send_raw(std::span<const std::byte> bytes, std::span<const int> fds) {
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(32 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  static_cast<void>(::sendmsg(server_fd_, &message, MSG_NOSIGNAL));
}

void ScriptedServer::hang_up() {
  socket_->shut_down();
}

std::span<std::byte> ScriptedServer::bytes_of_region(std::uint32_t region) {
  return region == 7 ? std::span<std::byte>(config) : std::span<std::byte>(bar0);
}

Bytes ScriptedServer::region_payload(std::uint32_t index, std::vector<int>& fds) const {
  vfio_user::Region region{sizeof(vfio_user::Region), 0, index, 0, 0, 0};
  const std::uint32_t both = kRegionReadable | kRegionWritable;
  if (index == 7) {
    region.flags = both;
    region.size = config.size();
  } else if (index == 0) {
    region.flags = both;
    region.size = bar0.size();
  } else if (index == 2) {
    region.flags = both | kRegionMappable | kRegionHasCapabilities;
    region.size = kBar2Size;
    region.offset = kBar2Offset;
    region.capabilities = sizeof region;
    region.argsz = sizeof region + sizeof(Sparse) + 2 * sizeof(SparseArea);
    fds.push_back(bar2.get());
  }
  auto payload = bytes_of(region);
  if (index == 2) {
    append_bytes(payload, Sparse{{kCapabilitySparse, 1, 0}, 2, 0});
    append_bytes(payload, SparseArea{0, 0x1000});
    append_bytes(payload, SparseArea{0x3000, kBar2Size - 0x3000});
  }
  return payload;
}

Bytes ScriptedServer::payload_for(const Message& message, std::vector<int>& fds) {
  const std::span<const std::byte> asked(message.payload);
  switch (static_cast<Command>(message.header.command)) {
    case Command::kVersion: {
      auto payload = bytes_of(Version{kMajor, kMinor});
      for (const char c : capabilities) {
        payload.push_back(static_cast<std::byte>(c));
      }
      payload.push_back(std::byte{0});
      return payload;
    }
    case Command::kDeviceGetInfo:
      return bytes_of(DeviceInfo{sizeof(DeviceInfo), kDevicePci | kDeviceReset, 9, 5});
    case Command::kDeviceGetRegionInfo:
      return region_payload(load_at<std::uint32_t>(asked, 8).value_or(0), fds);
    case Command::kDeviceGetIrqInfo: {
      constexpr std::array<std::uint32_t, 5> kCounts{1, 1, 8, 0, 1};
      const auto index = load_at<std::uint32_t>(asked, 8).value_or(0);
      return bytes_of(vfio_user::Irq{sizeof(vfio_user::Irq), kIrqEventFd | kIrqMaskable, index,
                                     kCounts.at(index)});
    }
    case Command::kRegionRead: {
      const auto access = load_at<RegionAccess>(asked, 0).value_or(RegionAccess{});
      auto payload = bytes_of(access);
      const auto data = bytes_of_region(access.region).subspan(access.offset, access.count);
      payload.insert(payload.end(), data.begin(), data.end());
      return payload;
    }
    case Command::kRegionWrite: {
      const auto access = load_at<RegionAccess>(asked, 0).value_or(RegionAccess{});
      const auto data = asked.subspan(sizeof access);
      std::copy(data.begin(), data.end(),
                bytes_of_region(access.region).subspan(access.offset).begin());
      if (on_change) {
        on_change();
      }
      return bytes_of(access);
    }
    case Command::kDmaUnmap:
      return message.payload;
    default:
      return {};
  }
}

std::vector<Command> ScriptedServer::commands() const {
  const MutexLock lock(mutex_);
  return commands_;
}

Message ScriptedServer::take_last(Command command) {
  const MutexLock lock(mutex_);
  return std::exchange(last_[command], Message{});
}

}  // namespace gpuvm::test
