// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what messages say of values: their kinds, the rules that they break, and
// what may have been meant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {

using IntegerRange = TableReader::IntegerRange;

/// "a table", "an integer" …
std::string_view kind_of(const toml::node& node);

/// "\"a\", \"b\" or \"c\"".
std::string list_words(std::span<const std::string_view> words);

std::string number_text(std::int64_t number, IntegerRange range);
bool is_in_range(std::int64_t number, IntegerRange range);
/// "from 0 to 7", or "0" when nothing else is possible.
std::string range_text(IntegerRange range);
/// "an integer from 0 to 7", with an example where numbers are hexadecimal.
std::string integer_rule(IntegerRange range);

// Each follows a message on a value of the wrong kind: "; write 4, without quotes", or "".

/// Where a number is meant: "4" in quotes.
std::string number_advice(const toml::node& node, IntegerRange range);
/// Where true or false is meant: another program's word, or another word or number for it.
std::string switch_advice(std::string_view schema_name, const toml::node& node);
/// Where a list of strings is meant: what would be its only one.
std::string list_advice(std::string_view schema_name, const toml::node& node);

}  // namespace gpuvm::config
