// SPDX-License-Identifier: Apache-2.0
// ConsoleSink: where the bytes go that a guest prints. The console room implements it; tests
// record.
#pragma once

#include <cstddef>
#include <span>

namespace gpuvm {

class ConsoleSink {
 public:
  virtual ~ConsoleSink() = default;
  /// Takes all bytes, in order, and never blocks. Any thread; does not call back into the caller.
  virtual void write(std::span<const std::byte> bytes) = 0;
};

}  // namespace gpuvm
