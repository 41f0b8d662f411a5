// SPDX-License-Identifier: Apache-2.0
// Whether a hostile text is JSON (RFC 8259) that is worth building in memory: no key twice in one
// object, not too deep, not too many values. The errors say where.
#pragma once

#include <cstddef>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

constexpr std::size_t kMostJsonDepth = 32;
constexpr std::size_t kMostJsonValues = 1'000'000;

/// Errors: kConfig.
Status check_json_syntax(std::string_view text);

}  // namespace gpuvm
