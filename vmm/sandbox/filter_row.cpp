// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/filter_row.hpp"

namespace gpuvm::sandbox {

bool Row::matches(long call, std::span<const std::uint64_t, 6> arguments) const {
  if (call != number) {
    return false;
  }
  for (const ArgumentRule& condition : only()) {
    if ((arguments[condition.argument] & condition.mask) != condition.value) {
      return false;
    }
  }
  return true;
}

}  // namespace gpuvm::sandbox
