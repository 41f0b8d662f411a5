// SPDX-License-Identifier: Apache-2.0
// VirtioDevice: what a virtio device is to its transport: numbers, a configuration structure and
// the execution of requests. The transport owns queues, interrupts and the thread. Missing: devices
// that keep buffers for later (network, vsock), and changes of the configuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "devices/virtio/split_queue.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"

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
  /// Part of the configuration structure; [offset, offset + size) lies inside it. Any thread, at
  /// the same time as execute().
  virtual void read_config(std::uint64_t offset, std::span<std::byte> out) const = 0;
  /// The driver is ready, and has accepted these features of those offered. Not called during
  /// execute().
  virtual void start(std::uint64_t features) = 0;
  /// Carries out one request, which may block; returns how many bytes it has written at the front
  /// of the chain's writable part. Only on the transport's thread. Errors: the chain makes no
  /// sense, and the device needs a reset.
  virtual Result<std::uint32_t> execute(std::size_t queue, DescriptorChain& chain) = 0;
};

}  // namespace gpuvm
