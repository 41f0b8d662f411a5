// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/console_patterns.hpp"

#include <re2/re2.h>

#include <algorithm>

namespace gpuvm {
namespace {

RE2::Options pattern_options() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);  // a guest prints any bytes
  options.set_max_mem(ConsolePatterns::kMemory);
  options.set_log_errors(false);  // else to standard error, past our log
  return options;
}

}  // namespace

struct ConsolePatterns::Compiled {
  explicit Compiled(const std::string& text) : expression(text, pattern_options()) {}
  RE2 expression;
};

std::optional<std::string> ConsolePatterns::why_not(const std::string& pattern) {
  if (pattern.empty()) {
    return "is empty, and would be found in every line";
  }
  if (pattern.size() > kLongest) {
    return fmt::format("has {} characters, of {} at most", pattern.size(), kLongest);
  }
  const RE2 expression(pattern, pattern_options());
  if (!expression.ok()) {
    return fmt::format("is no regular expression of RE2: {}", expression.error());
  }
  return std::nullopt;
}

ConsolePatterns::ConsolePatterns() = default;
ConsolePatterns::~ConsolePatterns() = default;
ConsolePatterns::ConsolePatterns(ConsolePatterns&&) noexcept = default;
ConsolePatterns& ConsolePatterns::operator=(ConsolePatterns&&) noexcept = default;

Result<ConsolePatterns> ConsolePatterns::create(std::span<const std::string> patterns) {
  if (patterns.size() > kMost) {
    return fail(ErrorKind::kConfig, "{} patterns are too many: {} at most", patterns.size(), kMost);
  }
  ConsolePatterns all;
  for (const std::string& pattern : patterns) {
    if (const auto wrong = why_not(pattern)) {
      return fail(ErrorKind::kConfig, "The pattern \"{}\" {}", pattern, *wrong);
    }
    all.compiled_.push_back(std::make_unique<Compiled>(pattern));
  }
  return all;
}

std::optional<std::string> ConsolePatterns::find(std::string_view line) const {
  const auto found = std::find_if(compiled_.begin(), compiled_.end(), [line](const auto& one) {
    return RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), one->expression);
  });
  return found == compiled_.end() ? std::nullopt : std::optional((*found)->expression.pattern());
}

}  // namespace gpuvm
