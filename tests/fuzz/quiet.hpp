// SPDX-License-Identifier: Apache-2.0
// Of lines in the log a fuzzed guest causes more than anybody reads.
#pragma once

#include "vmm/base/log.hpp"

namespace gpuvm::fuzz {

inline void be_quiet() {
  log::set_level(log::Level::kError);
}

}  // namespace gpuvm::fuzz
