// SPDX-License-Identifier: Apache-2.0
// Internal to this room: --set key=value, written into the parsed document before it is read.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/config/tomlpp.hpp"

namespace gpuvm::config {

/// Sets one dotted key. Errors: kUsage when there is no "key=", kConfig when it leads nowhere.
Status apply_override(toml::table& root, const std::string& text);

}  // namespace gpuvm::config
