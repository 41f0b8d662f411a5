// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/debug_ports.hpp"

#include <algorithm>

namespace gpuvm {

IoStatus PostCodePort::read(std::uint64_t, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0xff});
  return IoStatus::kOk;
}

IoStatus PostCodePort::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (offset != 0) {
    return IoStatus::kInvalidRegister;
  }
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  last_.store(std::to_integer<std::uint8_t>(in[0]), std::memory_order_relaxed);
  writes_.fetch_add(1, std::memory_order_relaxed);
  return IoStatus::kOk;
}

void PostCodePort::inspect(InspectNode& node) const {
  node.hex("last", last_.load(std::memory_order_relaxed));
  node.field("writes", writes_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
