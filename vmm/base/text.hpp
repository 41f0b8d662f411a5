// SPDX-License-Identifier: Apache-2.0
// Small text helpers for messages: the nearest known name ("did you mean"), and texts of others on
// a terminal or in a runner's log.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gpuvm {

/// Levenshtein distance, bounded work: names longer than 64 characters are cut.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate with the least edit distance; "" when there is none.
std::string_view nearest_name(std::string_view wanted,
                              std::span<const std::string_view> candidates);

/// nearest_name(), or "" where it is too far away to have been meant: a third of the letters may be
/// wrong, three at most.
std::string_view near_name(std::string_view wanted, std::span<const std::string_view> candidates);

/// Text of a foreign origin, with lines: "?" for each control character but line feeds, those of
/// ISO 6429 as UTF-8 has them (C2 80 to C2 9F) and Unicode's that turn a line around too, so that a
/// terminal obeys none.
std::string terminal_text(std::string_view text);

/// The text as it may be written to the descriptor: terminal_text() of it where that is a terminal,
/// else as it is.
std::string text_for(int fd, std::string_view text);

/// terminal_text() as one line: a backslash and "n" for each line feed, two backslashes for one.
std::string escaped_line(std::string_view text);

/// With "## [" for each "##[", which a runner of GitHub Actions takes for a command wherever it
/// stands in a line that a step prints.
std::string without_runner_commands(std::string text);

}  // namespace gpuvm
