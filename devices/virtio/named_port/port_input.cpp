// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/named_port/port_input.hpp"

#include <algorithm>

namespace gpuvm {

Result<std::unique_ptr<PortInput>> PortInput::create() {
  auto event = TRY(EventFd::create());
  return std::unique_ptr<PortInput>(new PortInput(std::move(event)));
}

bool PortInput::add(std::string_view text) {
  {
    const MutexLock lock(mutex_);
    if (text.size() > kMost - waiting_.size()) {
      return false;
    }
    waiting_ += text;
  }
  event_.signal();
  return true;
}

std::size_t PortInput::read(std::span<std::byte> out) {
  const MutexLock lock(mutex_);
  const std::size_t count = std::min(out.size(), waiting_.size());
  const auto bytes = std::as_bytes(std::span(waiting_).first(count));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  waiting_.erase(0, count);
  return count;
}

}  // namespace gpuvm
