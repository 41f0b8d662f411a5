// SPDX-License-Identifier: Apache-2.0
// Small text helpers for messages: the nearest known name ("did you mean").
#pragma once

#include <span>
#include <string_view>

namespace gpuvm {

/// Levenshtein distance, bounded work: names longer than 64 characters are cut.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate with the least edit distance; "" when there is none.
std::string_view nearest_name(std::string_view wanted,
                              std::span<const std::string_view> candidates);

}  // namespace gpuvm
