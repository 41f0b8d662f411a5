// SPDX-License-Identifier: Apache-2.0
// CardEvents: what the host has to say (DeviceEvents) about cards that came while the guest runs. A
// card of the start ends its guest when it fails or the host wants it back; one of these only goes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/machine/devices/device_events.hpp"

namespace gpuvm {

/// On the thread of the context, where the handlers are called, but for prepare(); destroyed before
/// the devices.
class CardEvents {
 public:
  struct Handlers {
    /// The guest must not go on with this card.
    std::function<void(const std::string& card, const Error& error)> on_error;
    /// The host wants it back.
    std::function<void(const std::string& card)> on_request;
  };
  CardEvents(boost::asio::io_context& context, Handlers handlers);
  ~CardEvents();
  CardEvents(const CardEvents&) = delete;
  CardEvents& operator=(const CardEvents&) = delete;

  /// Connects the card's devices; what they say is kept until start(). Any thread. Errors: kHost:
  /// nobody hears of this one.
  Status prepare(const std::string& card, const std::vector<PhysicalDevice*>& devices)
      GPUVM_EXCLUDES(mutex_);
  /// The handlers are called from now on for all that were prepared.
  void start() GPUVM_EXCLUDES(mutex_);
  /// Before the card's devices are closed: none of its handlers is called any more.
  void forget(const std::string& card) GPUVM_EXCLUDES(mutex_);

 private:
  using Cards = std::map<std::string, std::unique_ptr<DeviceEvents>>;

  boost::asio::io_context& context_;
  const Handlers handlers_;
  Cards started_;
  Mutex mutex_;
  Cards prepared_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
