// SPDX-License-Identifier: Apache-2.0
// TreeWriter: libfdt's sequential writer as an object. The first failure sticks and is reported at
// the end, so that what is written in between reads like the tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

class TreeWriter {
 public:
  TreeWriter();

  void begin(const std::string& name);
  void end();
  void empty(const char* name);
  void text(const char* name, const std::string& value);
  /// Cells of 32 bits.
  void cells(const char* name, std::span<const std::uint32_t> values);
  void cell(const char* name, std::uint32_t value) { cells(name, {&value, 1}); }
  /// Numbers of two cells each.
  void wide(const char* name, std::span<const std::uint64_t> values);
  void wide(const char* name, std::uint64_t value) { wide(name, std::span{&value, 1}); }
  void bytes(const char* name, std::span<const std::byte> value);

  /// The finished tree. Errors: kInternal naming the first property or node that failed.
  Result<std::vector<std::byte>> finish();

 private:
  void check(int status, const std::string& what);

  std::vector<std::byte> buffer_;
  int failure_ = 0;
  std::string failed_;
};

}  // namespace gpuvm
