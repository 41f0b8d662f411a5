// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console/console_channel.hpp"

#include <algorithm>
#include <utility>

namespace gpuvm {

Result<std::unique_ptr<ConsoleChannel>> ConsoleChannel::create() {
  auto event = TRY(EventFd::create());
  return std::unique_ptr<ConsoleChannel>(new ConsoleChannel(std::move(event)));
}

std::size_t ConsoleChannel::type(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  {
    const MutexLock lock(mutex_);
    taken = std::min(bytes.size(), kMostTyped - typed_.size());
    const auto front = bytes.first(taken);
    typed_.insert(typed_.end(), front.begin(), front.end());
    refused_ = refused_ || taken < bytes.size();
  }
  event_.signal();
  return taken;
}

void ConsoleChannel::resize(ConsoleSize size) {
  {
    const MutexLock lock(mutex_);
    size_ = size;
  }
  event_.signal();
}

std::size_t ConsoleChannel::read(std::span<std::byte> out) {
  std::size_t count = 0;
  bool has_room_again = false;
  {
    const MutexLock lock(mutex_);
    count = std::min(out.size(), typed_.size());
    const auto end = typed_.begin() + static_cast<std::ptrdiff_t>(count);
    std::copy(typed_.begin(), end, out.begin());
    typed_.erase(typed_.begin(), end);
    has_room_again = count > 0 && std::exchange(refused_, false);
  }
  if (has_room_again && host_.input_ready) {
    host_.input_ready();
  }
  return count;
}

ConsoleSize ConsoleChannel::size() const {
  const MutexLock lock(mutex_);
  return size_;
}

}  // namespace gpuvm
