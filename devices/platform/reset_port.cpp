// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/reset_port.hpp"

namespace gpuvm {

IoStatus ResetPort::read(std::uint64_t offset, std::span<std::byte> out) {
  if (offset != 0) {
    return IoStatus::kInvalidRegister;
  }
  if (out.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  out[0] = std::byte{value_.load()};
  return IoStatus::kOk;
}

IoStatus ResetPort::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (offset != 0) {
    return IoStatus::kInvalidRegister;
  }
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  const auto value = std::to_integer<std::uint8_t>(in[0]);
  const std::uint8_t before = value_.exchange(value);
  if ((value & ~before & kResetCpu) != 0 && requests_.reset) {
    requests_.reset();
  }
  return IoStatus::kOk;
}

}  // namespace gpuvm
