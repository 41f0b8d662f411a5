// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/device_events.hpp"

#include <fcntl.h>

#include <array>
#include <optional>

#include "vmm/base/asio.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

namespace asio = boost::asio;

struct DeviceEvents::Watch {
  PhysicalDevice& device;
  IrqType type;
  EventFd event;
  std::optional<asio::posix::stream_descriptor> wait = {};  ///< once started
};

DeviceEvents::DeviceEvents(asio::io_context& context, Handlers handlers)
    : context_(context), handlers_(std::move(handlers)) {}

DeviceEvents::~DeviceEvents() {
  for (const auto& watch : watches_) {
    if (const auto status = watch->device.disable_irqs(watch->type); !status) {
      log::debug("{}", status.error().to_string());  // the device is about to be closed
    }
  }
}

Result<std::unique_ptr<DeviceEvents>> DeviceEvents::create(
    asio::io_context& context, const std::vector<PhysicalDevice*>& devices, Handlers handlers) {
  std::unique_ptr<DeviceEvents> events(new DeviceEvents(context, std::move(handlers)));
  for (PhysicalDevice* const device : devices) {
    for (const IrqType type : {IrqType::kError, IrqType::kRequest}) {
      if (device->irq(type).count != 0) {
        TRY_CONTEXT(events->watch(*device, type), "Watching " + device->name());
      }
    }
  }
  return events;
}

/// Nothing waits for the event yet: where connecting fails, whoever does it may let go of it.
Status DeviceEvents::watch(PhysicalDevice& device, IrqType type) {
  auto event = TRY(EventFd::create());
  const int fd = event.fd();
  watches_.push_back(std::make_unique<Watch>(Watch{device, type, std::move(event)}));
  return device.set_irq_fds(type, 0, {&fd, 1});
}

Status DeviceEvents::start() {
  for (const auto& watch : watches_) {
    // Asio owns and closes a descriptor of its own.
    const int second = ::fcntl(watch->event.fd(), F_DUPFD_CLOEXEC, 0);
    if (second < 0) {
      return fail_errno(ErrorKind::kHost, "Cannot watch an event");
    }
    watch->wait.emplace(context_, second);
    wait(*watch);
  }
  return {};
}

/// The event is not read: once it was, the guest is about to end. And a vfio-user server, which has
/// the same eventfd, could have made it one whose reader waits.
void DeviceEvents::wait(Watch& watch) {
  watch.wait->async_wait(
      asio::posix::stream_descriptor::wait_read,
      [this, &watch, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
        if (!error && !alive.expired()) {
          handle(watch);
        }
      });
}

namespace {

/// What the connection to it ended with. Reading returns at once: it has left.
std::string reason_of_leave(PhysicalDevice& device) {
  std::array<std::byte, 2> vendor{};
  const auto answer = device.read(RegionIndex::kConfig, 0, vendor);
  return answer ? device.name() + " does not say why" : answer.error().to_string();
}

}  // namespace

void DeviceEvents::handle(const Watch& watch) const {
  if (watch.type == IrqType::kRequest) {
    handlers_.on_request(watch.device.name());
    return;
  }
  handlers_.on_error(
      watch.device.is_gone()
          ? fail(ErrorKind::kUnsafeDevice, "A device of the guest has left: {}",
                 reason_of_leave(watch.device))
          : fail(ErrorKind::kUnsafeDevice,
                 "{} has reported an error from which it cannot recover by itself; `dmesg` may "
                 "say which",
                 watch.device.name()));
}

}  // namespace gpuvm
