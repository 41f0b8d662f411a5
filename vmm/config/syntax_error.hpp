// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what toml++ says of a text that is no TOML, with the cure where it is
// known.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/config/tomlpp.hpp"

namespace gpuvm::config {

/// "{label}:line:column: {problem}", of kind kConfig.
Error syntax_error(std::string_view text, const std::string& label,
                   const toml::parse_error& problem);

}  // namespace gpuvm::config
