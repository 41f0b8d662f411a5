// SPDX-License-Identifier: Apache-2.0
// Configuration space as lines of text, sixteen bytes each, as `lspci -xxxx` prints and `lspci -F`
// reads them: "0a0: 10 00 92 01 …".
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

constexpr std::size_t kConfigLineBytes = 16;

/// Every line, or those alone that hold something but zeros.
std::vector<std::string> config_lines(std::span<const std::byte> config, bool with_zeros);
/// Puts the bytes of a line, which are none that another brought, into `config`. Errors: kConfig:
/// no such line, or one that lies outside.
Status read_config_line(std::string_view line, std::span<std::byte> config);

}  // namespace gpuvm
