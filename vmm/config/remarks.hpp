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

/// Of these, those about files that gpuvm opens with its own rights in a folder that the guest may
/// write to, where a link leads it to any file of the host; by their paths alone, whatever links
/// these have. Each start tells them, too.
std::vector<std::string> files_in_shares(const Config& config);

}  // namespace gpuvm
