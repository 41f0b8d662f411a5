// SPDX-License-Identifier: Apache-2.0
// DeviceEvents: what the host has to say about a running guest's functions: an error that ends
// their use (VFIO's error interrupt: an uncorrectable PCI Express error, or a vfio-user server that
// has gone), and the wish to have them back (VFIO's request interrupt: somebody unbinds the driver,
// or the device leaves).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"

namespace boost::asio {
class io_context;
}

namespace gpuvm {

/// Made on any thread, and destroyed on any where it was not started; once it was, on that of
/// `context`, where the handlers run. Before the devices.
class DeviceEvents {
 public:
  struct Handlers {
    /// The guest must not go on with this function.
    std::function<void(Error)> on_error;
    /// The host wants this function back; called once.
    std::function<void(const std::string& function)> on_request;
  };
  /// Connects both interrupts of every function that has them. What they say is kept until start().
  /// Errors: kHost.
  static Result<std::unique_ptr<DeviceEvents>> create(boost::asio::io_context& context,
                                                      const std::vector<PhysicalDevice*>& devices,
                                                      Handlers handlers);
  /// From now on the handlers are called. Once, on the thread of `context`. Errors: kHost.
  Status start();
  ~DeviceEvents();
  DeviceEvents(const DeviceEvents&) = delete;
  DeviceEvents& operator=(const DeviceEvents&) = delete;

 private:
  struct Watch;
  DeviceEvents(boost::asio::io_context& context, Handlers handlers);
  Status watch(PhysicalDevice& device, IrqType type);
  void wait(Watch& watch);
  void handle(const Watch& watch) const;

  boost::asio::io_context& context_;
  const Handlers handlers_;
  /// Gone with this: what was about to be handled then is not.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::vector<std::unique_ptr<Watch>> watches_;
};

}  // namespace gpuvm
