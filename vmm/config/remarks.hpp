// SPDX-License-Identifier: Apache-2.0
// What a configuration may say and is hardly meant, and what only its host can tell: for `gpuvm
// validate`, which looks at no host.
#pragma once

#include <string>
#include <vector>

#include "vmm/config/config.hpp"

namespace gpuvm {

/// Sentences, each with its place or key; none for most configurations.
std::vector<std::string> remarks_on(const Config& config);

}  // namespace gpuvm
