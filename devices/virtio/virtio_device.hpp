// SPDX-License-Identifier: Apache-2.0
// VirtioDevice: what a virtio device is to its transport: numbers, features and a configuration
// structure. Who serves its queues is the QueueBackend's to know: where this process does, the
// device is a RequestDevice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "devices/virtio/device_config.hpp"
#include "vmm/base/inspect.hpp"

namespace gpuvm {

class VirtioDevice : public Inspectable {
 public:
  /// Numbers that never change.
  struct Identity {
    std::uint16_t type = 0;         ///< VIRTIO 1.2, 5
    std::uint32_t class_code = 0;   ///< of the PCI function
    std::uint64_t features = 0;     ///< the device's own; those of the transport are added
    std::uint16_t queues = 1;       ///< 1 to 64
    std::uint16_t queue_size = 0;   ///< entries, a power of two
    std::uint16_t config_size = 0;  ///< bytes of the configuration structure, at most 4096
  };

  virtual std::string_view name() const = 0;
  virtual const Identity& identity() const = 0;
  /// Of identity().config_size bytes. Changes of it reach the driver through the transport.
  virtual DeviceConfig& config() = 0;
  /// The driver is ready, and has accepted these features of those offered. Called before the
  /// queues are served, for the first time or anew.
  virtual void start(std::uint64_t features) = 0;
};

}  // namespace gpuvm
