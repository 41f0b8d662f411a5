// SPDX-License-Identifier: Apache-2.0
// VfioUserDevice's interrupts.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "devices/physical/vfio_user/vfio_user_device.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using vfio_user::Command;

constexpr std::uint32_t kAllOff = vfio_user::kIrqDataNone | vfio_user::kIrqActionTrigger;

void signal_event(const UniqueFd& event) {
  const std::uint64_t one = 1;
  if (event) {
    // Fails only when the counter is full, and then the reader will wake up all the same.
    [[maybe_unused]] const auto written = ::write(event.get(), &one, sizeof one);
  }
}

}  // namespace

IrqInfo VfioUserDevice::irq(IrqType type) const {
  IrqInfo info = irqs_.at(static_cast<std::size_t>(type)).info;
  if (type == IrqType::kError) {
    info.count = 1;
  }
  return info;
}

Status VfioUserDevice::set_irqs(IrqType type, std::uint32_t flags, std::uint32_t start,
                                std::uint32_t count, std::span<const int> fds) {
  vfio_user::Operation operation(options_.timeout);
  return set_irqs(type, flags, start, count, fds, operation);
}

Status VfioUserDevice::set_irqs(IrqType type, std::uint32_t flags, std::uint32_t start,
                                std::uint32_t count, std::span<const int> fds,
                                vfio_user::Operation& operation) {
  vfio_user::Bytes request;
  append_bytes(request, vfio_user::SetIrqs{sizeof(vfio_user::SetIrqs), flags,
                                           static_cast<std::uint32_t>(type), start, count});
  TRY(connection_->call(Command::kDeviceSetIrqs, request, fds, {}, operation));
  return {};
}

// Descriptors cannot say "none" on the wire: vectors without one are taken away by a message
// without descriptors. No message may have more than the server takes.
Status VfioUserDevice::send_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds,
                                    vfio_user::Operation& operation) {
  while (!fds.empty()) {
    const bool has_event = fds.front() >= 0;
    const auto differs = [has_event](int fd) { return (fd >= 0) != has_event; };
    auto count =
        static_cast<std::size_t>(std::find_if(fds.begin(), fds.end(), differs) - fds.begin());
    if (has_event) {
      count = std::min(count, connection_->limits().message_fds);
    }
    TRY(set_irqs(type, vfio_user::kIrqDataEventFd | vfio_user::kIrqActionTrigger, start,
                 static_cast<std::uint32_t>(count),
                 has_event ? fds.first(count) : std::span<const int>(), operation));
    fds = fds.subspan(count);
    start += static_cast<std::uint32_t>(count);
  }
  return {};
}

Status VfioUserDevice::set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) {
  const IrqInfo info = irq(type);
  if (fds.empty() || fds.size() > info.count || start > info.count - fds.size()) {
    return fail(ErrorKind::kInternal, "Vectors {} to {} of {} do not exist: it has {}", start,
                start + fds.size(), name_, info.count);
  }
  if (type == IrqType::kError) {
    TRY(keep_error_event(fds));
  }
  Irq& irq = irqs_.at(static_cast<std::size_t>(type));
  if (irq.info.count == 0) {
    return {};  // ours alone
  }
  vfio_user::Operation operation(options_.timeout);
  auto status = send_irq_fds(type, start, fds, operation);
  // A failure behind the first of several messages leaves vectors that nobody has: all off.
  irq.is_enabled = status || !set_irqs(type, kAllOff, 0, 0, {});
  return status;
}

Status VfioUserDevice::disable_irqs(IrqType type) {
  if (type == IrqType::kError) {
    TRY(keep_error_event({}));
  }
  Irq& irq = irqs_.at(static_cast<std::size_t>(type));
  // A server that has gone signals nothing.
  if (!irq.is_enabled || is_gone()) {
    irq.is_enabled = false;
    return {};
  }
  TRY(set_irqs(type, kAllOff, 0, 0, {}));
  irq.is_enabled = false;
  return {};
}

Status VfioUserDevice::set_intx_unmask_fd(int fd) {
  return set_irqs(IrqType::kIntx, vfio_user::kIrqDataEventFd | vfio_user::kIrqActionUnmask, 0, 1,
                  fd >= 0 ? std::span<const int>(&fd, 1) : std::span<const int>());
}

Status VfioUserDevice::set_intx_masked(bool masked) {
  const auto action = masked ? vfio_user::kIrqActionMask : vfio_user::kIrqActionUnmask;
  return set_irqs(IrqType::kIntx, vfio_user::kIrqDataNone | action, 0, 1, {});
}

Status VfioUserDevice::keep_error_event(std::span<const int> fds) {
  UniqueFd event;
  if (!fds.empty() && fds.front() >= 0) {
    event.reset(::fcntl(fds.front(), F_DUPFD_CLOEXEC, 0));
    if (!event) {
      return fail_errno(ErrorKind::kHost, "Cannot keep the event of an error");
    }
  }
  const MutexLock lock(event_mutex_);
  error_event_ = std::move(event);
  if (was_lost_) {
    signal_event(error_event_);
  }
  return {};
}

void VfioUserDevice::note_lost() {
  const MutexLock lock(event_mutex_);
  was_lost_ = true;
  signal_event(error_event_);
}

}  // namespace gpuvm
