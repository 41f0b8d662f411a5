// SPDX-License-Identifier: Apache-2.0
// ConsolePatterns: regular expressions that are looked for in lines of a guest's console, by RE2:
// the time that a line takes grows with its length only, whatever the pattern and the guest are.
// The syntax is RE2's (github.com/google/re2/wiki/Syntax), over bytes.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

class ConsolePatterns {
 public:
  static constexpr std::size_t kMost = 32;      ///< patterns of one kind
  static constexpr std::size_t kLongest = 512;  ///< characters of one
  static constexpr int kMemory = 1 << 20;       ///< bytes for what one is compiled to

  /// Why a text is no pattern: "has no argument for its repetition: *". Nothing: it is one.
  static std::optional<std::string> why_not(const std::string& pattern);

  ConsolePatterns();
  /// Errors: kConfig, naming the pattern.
  static Result<ConsolePatterns> create(std::span<const std::string> patterns);
  ~ConsolePatterns();
  ConsolePatterns(ConsolePatterns&&) noexcept;
  ConsolePatterns& operator=(ConsolePatterns&&) noexcept;

  /// The first pattern that is found anywhere in the line. One thread at a time.
  std::optional<std::string> find(std::string_view line) const;
  bool empty() const { return compiled_.empty(); }

 private:
  struct Compiled;
  std::vector<std::unique_ptr<Compiled>> compiled_;
};

}  // namespace gpuvm
