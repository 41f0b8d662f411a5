// SPDX-License-Identifier: Apache-2.0
// [[pci]]: the key match, which names cards of which any will do.
#include <algorithm>

#include "vmm/config/foreign_names.hpp"
#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostPatterns = 16;
constexpr std::string_view kMatchRule =
    R"("any-gpu", ids such as "10de:2204" or "10de:*", a class such as "class:0302", or a list of )"
    "these";

Result<CardPattern> read_pattern(const TableReader& entry, const std::string& text) {
  const auto pattern = CardPattern::parse(text);
  if (!pattern) {
    return entry.must_be("match", kMatchRule, '"' + printable(text) + '"',
                         value_advice("pci.match", text));
  }
  return *pattern;
}

}  // namespace

Result<std::vector<CardPattern>> read_match(TableReader& entry) {
  std::vector<std::string> texts;
  if (entry.holds_string("match")) {
    texts.push_back(TRY(entry.optional_string("match")).value_or(""));
  } else {
    texts = TRY(entry.optional_strings("match", kMatchRule)).value_or(std::vector<std::string>());
    if (entry.has("match") && texts.empty()) {
      return entry.must_be("match", kMatchRule, "an empty list");
    }
  }
  if (texts.size() > kMostPatterns) {
    return entry.wrong("match",
                       fmt::format("is too long: at most {} patterns are accepted", kMostPatterns));
  }
  std::vector<CardPattern> patterns;
  for (const auto& text : texts) {
    const auto pattern = TRY(read_pattern(entry, text));
    if (std::find(patterns.begin(), patterns.end(), pattern) != patterns.end()) {
      return entry.wrong("match", fmt::format("has {} twice", pattern.to_string()));
    }
    patterns.push_back(pattern);
  }
  return patterns;
}

}  // namespace gpuvm::config
