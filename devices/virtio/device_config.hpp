// SPDX-License-Identifier: Apache-2.0
// DeviceConfig: the device-specific configuration structure (VIRTIO 1.2, 2.5) as the driver reads
// it, with the generation by which it notices that it read half of a change.
// Missing: fields that the driver writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// Any thread.
class DeviceConfig {
 public:
  explicit DeviceConfig(std::size_t size) : bytes_(size) {}
  DeviceConfig(const DeviceConfig&) = delete;
  DeviceConfig& operator=(const DeviceConfig&) = delete;

  /// [offset, offset + size) lies inside.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  /// 2.5.3: differs after each change().
  std::uint8_t generation() const;

  /// Sets a little-endian field of 1, 2, 4 or 8 bytes before anybody listens.
  void define(std::size_t offset, std::size_t size, std::uint64_t value);
  /// Sets one while the guest may run: the driver sees all of it or nothing, and is told.
  void change(std::size_t offset, std::size_t size, std::uint64_t value);
  /// The same for all of it, if it differs; of the structure's size.
  void replace(std::span<const std::byte> bytes);
  /// Who is told of changes, on the thread that makes them; an empty one: nobody, and none is being
  /// told when this returns.
  void set_listener(std::function<void()> listener);

 private:
  void tell() GPUVM_EXCLUDES(telling_);

  mutable Mutex mutex_;
  std::vector<std::byte> bytes_ GPUVM_GUARDED_BY(mutex_);
  std::uint8_t generation_ GPUVM_GUARDED_BY(mutex_) = 0;
  /// Held while the listener is called, which may read.
  Mutex telling_;
  std::function<void()> listener_ GPUVM_GUARDED_BY(telling_);
};

}  // namespace gpuvm
