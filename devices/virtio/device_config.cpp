// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/device_config.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {

void DeviceConfig::read(std::uint64_t offset, std::span<std::byte> out) const {
  const MutexLock lock(mutex_);
  const auto source = std::span(bytes_).subspan(offset, out.size());
  std::copy(source.begin(), source.end(), out.begin());
}

std::uint8_t DeviceConfig::generation() const {
  const MutexLock lock(mutex_);
  return generation_;
}

void DeviceConfig::define(std::size_t offset, std::size_t size, std::uint64_t value) {
  const MutexLock lock(mutex_);
  store_le(std::span(bytes_).subspan(offset, size), value);
}

void DeviceConfig::change(std::size_t offset, std::size_t size, std::uint64_t value) {
  {
    const MutexLock lock(mutex_);
    store_le(std::span(bytes_).subspan(offset, size), value);
    ++generation_;
  }
  tell();
}

void DeviceConfig::replace(std::span<const std::byte> bytes) {
  {
    const MutexLock lock(mutex_);
    if (std::equal(bytes.begin(), bytes.end(), bytes_.begin(), bytes_.end()) ||
        bytes.size() != bytes_.size()) {
      return;
    }
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
    ++generation_;
  }
  tell();
}

void DeviceConfig::tell() {
  const MutexLock lock(telling_);
  if (listener_) {
    listener_();
  }
}

void DeviceConfig::set_listener(std::function<void()> listener) {
  const MutexLock lock(telling_);
  listener_ = std::move(listener);
}

}  // namespace gpuvm
