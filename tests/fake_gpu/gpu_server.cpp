// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/gpu_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/fake_gpu/fake_gpu.hpp"
#include "tests/fake_gpu/memory_card.hpp"
#include "tests/fake_gpu/memory_file.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fake_gpu {
namespace {

using namespace vfio_user;

constexpr std::size_t kIntx = 0;
constexpr std::size_t kMsi = 1;
constexpr std::size_t kMsix = 2;
constexpr std::size_t kErrorIrq = 3;
constexpr std::size_t kRequestIrq = 4;

template <class T>
Bytes bytes_of(const T& value) {
  Bytes bytes;
  append_bytes(bytes, value);
  return bytes;
}

template <class T>
T request_of(const Message& message) {
  return load_at<T>(message.payload, 0).value_or(T{});
}

Header answer_to(const Message& message, std::uint32_t flags, std::uint32_t error) {
  return {.id = message.header.id,
          .command = message.header.command,
          .size = 0,
          .flags = kTypeReply | flags,
          .error = error};
}

}  // namespace

Status GpuServer::listen() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  sigaddset(&wanted, SIGUSR2);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  signals_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC));
  gpu_ = TRY(make_card());
  if (options_.nvlink != 0) {
    nvlink_ = TRY(memory_file(options_.nvlink_file, options_.nvlink));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.socket.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kUsage, "The path of the socket is too long");
  }
  std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
  ::unlink(options_.socket.c_str());
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // SAFETY: sockaddr_un is what AF_UNIX's address is.
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), 1) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot listen at " + options_.socket);
  }
  std::puts("listening");
  std::fflush(stdout);
  return {};
}

Result<std::unique_ptr<Card>> GpuServer::make_card() {
  if (options_.card != nullptr) {
    return std::unique_ptr<Card>(TRY(MemoryCard::create(options_)));
  }
  auto gpu = TRY(FakeGpu::create(
      options_,
      {.memory = [this](std::uint64_t iova, std::uint64_t size) { return memory_at(iova, size); },
       .raise = [this](std::uint32_t vector) { raise(vector); }}));
  return std::unique_ptr<Card>(std::make_unique<FakeGpu>(std::move(gpu)));
}

Status GpuServer::run() {
  for (;;) {
    std::array<pollfd, 2> waits{
        {{signals_.get(), POLLIN, 0}, {client_ ? client_fd_.get() : listener_.get(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "Cannot wait");
    }
    if (waits[0].revents != 0) {
      handle_signal();
    }
    if (waits[1].revents == 0 || (!client_ && take_client())) {
      continue;
    }
    auto message = client_ ? client_->receive() : Result<Message>(Message{});
    if (!message) {
      drop_client();
      continue;
    }
    if (options_.faults.map_waits && !waiting_map_ &&
        static_cast<Command>(message->header.command) == Command::kDmaMap) {
      waiting_map_ = std::move(*message);
      continue;
    }
    serve(*message);
    if (options_.faults.leaves && gpu_->has_misbehaved()) {
      return {};
    }
  }
}

bool GpuServer::take_client() {
  UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (client) {
    client_fd_.reset(::fcntl(client.get(), F_DUPFD_CLOEXEC, 0));
    client_ = std::make_unique<MessageSocket>(std::move(client));
  }
  return true;
}

// "All client memory regions are unmapped, all IRQ file descriptors closed, the device state should
// otherwise be retained."
void GpuServer::drop_client() {
  client_.reset();
  client_fd_.reset();
  memory_.clear();
  waiting_map_.reset();
  for (auto& type : events_) {
    type.clear();
  }
}

void GpuServer::handle_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGUSR2 && waiting_map_) {
      map_memory(*std::exchange(waiting_map_, std::nullopt));
      return;
    }
    signal(info.ssi_signo == SIGUSR1 ? kErrorIrq : kRequestIrq, 0);
  }
}

void GpuServer::serve(const Message& message) {
  switch (static_cast<Command>(message.header.command)) {
    case Command::kVersion:
      return greet(message);
    case Command::kDmaMap:
      return map_memory(message);
    case Command::kDmaUnmap:
      return unmap_memory(message);
    case Command::kDeviceGetInfo:
      return reply(message,
                   bytes_of(DeviceInfo{
                       sizeof(DeviceInfo),
                       kDevicePci | (options_.faults.no_slot_reset ? 0U : vfio_user::kDeviceReset),
                       kNvlinkRegion + (options_.nvlink != 0 ? 1U : 0U), kIrqTypes}));
    case Command::kDeviceGetRegionInfo:
      return describe_region(message);
    case Command::kDeviceGetIrqInfo:
      return describe_irq(message);
    case Command::kDeviceSetIrqs:
      return connect_irqs(message);
    case Command::kRegionRead:
      return access_region(message, false);
    case Command::kRegionWrite:
      return access_region(message, true);
    case Command::kDeviceReset:
      gpu_->slot_reset();
      return reply(message, {});
    default:
      return refuse(message, EOPNOTSUPP);
  }
}

void GpuServer::reply(const Message& message, std::span<const std::byte> payload,
                      std::span<const int> fds) {
  if ((options_.faults.stalls || options_.faults.leaves) && gpu_->has_misbehaved()) {
    return;
  }
  if (!client_->send(answer_to(message, 0, 0), payload, fds)) {
    client_->shut_down();
  }
}

void GpuServer::refuse(const Message& message, std::uint32_t error) {
  if (!client_->send(answer_to(message, kError, error), {}, {})) {
    client_->shut_down();
  }
}

void GpuServer::greet(const Message& message) {
  static constexpr char kText[] = R"({"capabilities":{"max_msg_fds":8,"pgsizes":4096}})";
  auto payload = bytes_of(Version{kMajor, kMinor});
  for (const char c : kText) {
    payload.push_back(static_cast<std::byte>(c));
  }
  reply(message, payload);
}

void GpuServer::describe_region(const Message& message) {
  const auto asked = request_of<vfio_user::Region>(message);
  if (asked.index == kNvlinkRegion && options_.nvlink != 0) {
    return describe_nvlink(message);
  }
  if (asked.index > 8) {
    return refuse(message, EINVAL);
  }
  vfio_user::Region region{sizeof(vfio_user::Region),
                           kRegionReadable,
                           asked.index,
                           0,
                           gpu_->region_size(asked.index),
                           0};
  region.flags |= asked.index == 6 ? 0U : kRegionWritable;
  std::vector<int> fds;
  if (const int file = gpu_->region_file(asked.index); file >= 0) {
    region.flags |= kRegionMappable;
    fds.push_back(file);
  }
  reply(message, bytes_of(region), fds);
}

void GpuServer::describe_nvlink(const Message& message) {
  constexpr std::uint32_t kSize = sizeof(vfio_user::Region) + sizeof(Type);
  auto payload = bytes_of(vfio_user::Region{
      kSize, kRegionReadable | kRegionWritable | kRegionMappable | kRegionHasCapabilities,
      kNvlinkRegion, sizeof(vfio_user::Region), options_.nvlink, 0});
  append_bytes(payload, Type{{kCapabilityType, 1, 0}, kNvlinkType, kNvlinkSubtype});
  const int file = nvlink_.get();
  reply(message, payload, {&file, 1});
}

std::uint32_t GpuServer::irq_count(std::uint32_t type) const {
  if (type == kMsix) {
    return gpu_->msix_vectors();
  }
  return type < kIrqTypes ? 1 : 0;
}

void GpuServer::describe_irq(const Message& message) {
  const auto asked = request_of<vfio_user::Irq>(message);
  if (asked.index >= kIrqTypes) {
    return refuse(message, EINVAL);
  }
  reply(message, bytes_of(vfio_user::Irq{sizeof(vfio_user::Irq), kIrqEventFd, asked.index,
                                         irq_count(asked.index)}));
}

void GpuServer::connect_irqs(const Message& message) {
  const auto set = request_of<SetIrqs>(message);
  const std::uint32_t count = irq_count(set.index);
  if (set.start > count || set.count > count - set.start || set.index >= kIrqTypes ||
      (!message.fds.empty() && message.fds.size() != set.count)) {
    return refuse(message, EINVAL);
  }
  auto& events = events_.at(set.index);
  const bool is_trigger = (set.flags & kIrqActionTrigger) != 0;
  if (is_trigger && set.count == 0) {
    events.clear();
  } else if (is_trigger && (set.flags & kIrqDataEventFd) != 0) {
    events.resize(count);
    for (std::uint32_t i = 0; i < set.count; ++i) {
      events[set.start + i].reset(
          message.fds.empty() ? -1 : ::fcntl(message.fds[i].get(), F_DUPFD_CLOEXEC, 0));
    }
  }
  reply(message, {});
}

void GpuServer::access_region(const Message& message, bool is_write) {
  const auto access = request_of<RegionAccess>(message);
  if (access.count > kMaxTransfer) {
    return refuse(message, EINVAL);
  }
  auto payload = bytes_of(access);
  if (!is_write) {
    payload.resize(sizeof access + access.count);
    const auto data = std::span(payload).subspan(sizeof access);
    return gpu_->read(access.region, access.offset, data) ? reply(message, payload)
                                                          : refuse(message, EINVAL);
  }
  const auto data = std::span<const std::byte>(message.payload);
  const bool is_well = data.size() == sizeof access + access.count &&
                       gpu_->write(access.region, access.offset, data.subspan(sizeof access));
  return is_well ? reply(message, payload) : refuse(message, EINVAL);
}

void GpuServer::map_memory(const Message& message) {
  const auto map = request_of<DmaMap>(message);
  if (message.fds.size() != 1) {
    return refuse(message, EINVAL);
  }
  if (memory_.contains(map.address)) {
    return refuse(message, EEXIST);
  }
  auto memory = MappedRegion::create(
      {.fd = message.fds.front().get(), .offset = map.offset, .size = map.size});
  if (!memory) {
    return refuse(message, EINVAL);
  }
  memory_[map.address] = {std::move(memory).value()};
  reply(message, {});
}

void GpuServer::unmap_memory(const Message& message) {
  const auto unmap = request_of<DmaUnmap>(message);
  const auto found = memory_.find(unmap.address);
  if (found == memory_.end() || found->second.memory.size() != unmap.size) {
    return refuse(message, ENOENT);
  }
  memory_.erase(found);
  reply(message, message.payload);
}

std::span<std::byte> GpuServer::memory_at(std::uint64_t iova, std::uint64_t size) const {
  const auto next = memory_.upper_bound(iova);
  if (next == memory_.begin()) {
    return {};
  }
  const auto& [base, mapping] = *std::prev(next);
  const auto bytes = mapping.memory.bytes();
  const std::uint64_t offset = iova - base;
  return offset < bytes.size() && size <= bytes.size() - offset ? bytes.subspan(offset, size)
                                                                : std::span<std::byte>();
}

/// By the kind of interrupt that the client has connected.
void GpuServer::raise(std::uint32_t vector) {
  if (!events_[kMsix].empty()) {
    signal(kMsix, vector);
  } else if (!events_[kMsi].empty()) {
    signal(kMsi, 0);
  } else {
    signal(kIntx, 0);
  }
}

void GpuServer::signal(std::size_t type, std::size_t vector) const {
  const std::uint64_t one = 1;
  if (vector < events_[type].size() && events_[type][vector]) {
    [[maybe_unused]] const auto written = ::write(events_[type][vector].get(), &one, sizeof one);
  }
}

}  // namespace gpuvm::fake_gpu
