// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/exit_port.hpp"

#include <algorithm>

namespace gpuvm {

IoStatus ExitPort::read(std::uint64_t, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0xff});
  return IoStatus::kOk;
}

IoStatus ExitPort::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (offset != 0) {
    return IoStatus::kInvalidRegister;
  }
  if (in.empty() || in.size() > kPortCount) {
    return IoStatus::kInvalidSize;
  }
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    value |= std::to_integer<std::uint32_t>(in[i]) << (8 * i);
  }
  writes_.fetch_add(1, std::memory_order_relaxed);
  if (!has_told_.exchange(true) && requests_.exit) {
    requests_.exit(value);
  }
  return IoStatus::kOk;
}

void ExitPort::inspect(InspectNode& node) const {
  node.field("writes", writes_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
