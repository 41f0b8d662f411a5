// SPDX-License-Identifier: Apache-2.0
// IoHandler: what every device that answers I/O ports or MMIO is. Offsets are relative to the
// handler's own range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gpuvm {

/// How an access ended. Anything but kOk makes the bus supply the default (all ones for reads).
enum class IoStatus { kOk, kInvalidRegister, kInvalidSize, kUnaligned, kNoResponse };

/// Called from any vCPU thread, several at once: implementations synchronise themselves. Accesses
/// are 1, 2, 4 or 8 bytes and lie wholly inside the range the handler was registered for.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  virtual std::string_view name() const = 0;
  virtual IoStatus read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual IoStatus write(std::uint64_t offset, std::span<const std::byte> in) = 0;
};

}  // namespace gpuvm
