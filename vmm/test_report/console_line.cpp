// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/console_line.hpp"

#include <cstddef>

namespace gpuvm {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_digit(text[end])) {
    ++end;
  }
  return end - at;
}

bool has(std::string_view text, std::size_t at, char c) {
  return at < text.size() && text[at] == c;
}

/// "<6>": its length, or 0.
std::size_t level_length(std::string_view text) {
  const std::size_t digits = has(text, 0, '<') ? digits_at(text, 1) : 0;
  return digits >= 1 && digits <= 3 && has(text, digits + 1, '>') ? digits + 2 : 0;
}

constexpr std::size_t kMostDigits = 12;

/// "12.345678": its length, or 0.
std::size_t seconds_length(std::string_view text) {
  const std::size_t whole = digits_at(text, 0);
  const std::size_t fraction = has(text, whole, '.') ? digits_at(text, whole + 1) : 0;
  return whole >= 1 && whole <= kMostDigits && fraction >= 1 && fraction <= kMostDigits
             ? whole + 1 + fraction
             : 0;
}

/// "T123", a task, or "C0", a processor: its length, or 0.
std::size_t caller_length(std::string_view text) {
  const std::size_t digits = has(text, 0, 'T') || has(text, 0, 'C') ? digits_at(text, 1) : 0;
  return digits >= 1 && digits <= kMostDigits ? 1 + digits : 0;
}

/// "[   12.345678] " with what `inner_length` knows inside, and one blank behind; 0: it is none.
std::size_t bracket_length(std::string_view text, std::size_t (*inner_length)(std::string_view)) {
  if (!has(text, 0, '[')) {
    return 0;
  }
  std::size_t at = 1;
  while (has(text, at, ' ') && at < kMostDigits) {
    ++at;
  }
  const std::size_t inner = inner_length(text.substr(at));
  if (inner == 0 || !has(text, at + inner, ']')) {
    return 0;
  }
  at += inner + 1;
  return at + (has(text, at, ' ') ? 1 : 0);
}

}  // namespace

std::string_view without_log_prefix(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.remove_suffix(1);
  }
  line.remove_prefix(level_length(line));
  if (const auto time = bracket_length(line, seconds_length); time != 0) {
    line.remove_prefix(time);
    line.remove_prefix(bracket_length(line, caller_length));
  }
  return line;
}

bool is_kernel_log(std::string_view line) {
  line.remove_prefix(level_length(line));
  return bracket_length(line, seconds_length) != 0;
}

}  // namespace gpuvm
