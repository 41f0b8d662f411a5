// SPDX-License-Identifier: Apache-2.0
// Text that a guest has printed, made fit for reports: XML 1.0 (section 2.2) and browsers take
// neither control characters nor bytes that are no UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gpuvm {

/// UTF-8 without control characters but tab and newline, and without a terminal's escape sequences
/// (ECMA-48: CSI and OSC). What is no UTF-8, and what XML has no place for, becomes U+FFFD.
std::string clean_text(std::string_view text);

/// The same in one line: newlines and tabs become blanks. At most `most` bytes, whole characters.
std::string clean_line(std::string_view text, std::size_t most);

}  // namespace gpuvm
