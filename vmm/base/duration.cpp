// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/duration.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace gpuvm {
namespace {

struct DurationUnit {
  std::string_view name;
  std::string_view other_name;
  std::int64_t seconds;
};
constexpr std::array<DurationUnit, 4> kDurationUnits{
    {{"d", "", 86400}, {"h", "", 3600}, {"m", "min", 60}, {"s", "", 1}}};
constexpr std::int64_t kLongestDuration = 1000 * 86400;

/// Takes digits off the front; nothing where there are none, or too many.
std::optional<std::int64_t> take_number(std::string_view& text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::int64_t number = 0;
  const auto error = std::from_chars(text.data(), text.data() + digits, number).ec;
  text.remove_prefix(digits);
  return error == std::errc{} && number <= kLongestDuration ? std::optional(number) : std::nullopt;
}

/// Takes letters off the front.
std::string_view take_word(std::string_view& text) {
  const auto length = std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz"), text.size());
  const auto word = text.substr(0, length);
  text.remove_prefix(length);
  return word;
}

}  // namespace

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  auto number = take_number(text);
  if (number && text.empty()) {
    return std::chrono::seconds(*number);
  }
  std::int64_t sum = 0;
  auto word = take_word(text);
  for (const auto& unit : kDurationUnits) {
    if (!number || word.empty() || (word != unit.name && word != unit.other_name)) {
      continue;
    }
    sum += *number * unit.seconds;
    if (text.empty()) {
      return sum <= kLongestDuration ? std::optional(std::chrono::seconds(sum)) : std::nullopt;
    }
    text.remove_prefix(text.starts_with(' ') ? 1 : 0);
    number = take_number(text);
    word = take_word(text);
  }
  return std::nullopt;
}

std::string to_string(std::chrono::seconds duration) {
  std::string text;
  std::int64_t rest = duration.count();
  for (const auto& unit : kDurationUnits) {
    if (rest >= unit.seconds) {
      text += fmt::format("{}{}", rest / unit.seconds, unit.name);
      rest %= unit.seconds;
    }
  }
  return text.empty() ? "0s" : text;
}

}  // namespace gpuvm
