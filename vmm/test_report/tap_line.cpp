// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/tap_line.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace gpuvm::tap {
namespace {

/// The text behind `prefix`; nothing: it does not begin so.
std::optional<std::string_view> behind(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? std::optional(text.substr(prefix.size())) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

/// A number at the beginning, which is taken away; nothing: none, or one beyond 64 bits.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Where a "#" begins what is no name any more: one with a blank before it (or at the beginning),
/// and not behind a backslash.
std::size_t find_hash(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '#' && (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\t')) {
      return at;
    }
  }
  return std::string_view::npos;
}

/// The first word of a diagnostic, as the directives are written, without ":".
bool is_directive(std::string_view diagnostic, std::string_view directive) {
  if (diagnostic.size() < directive.size()) {
    return false;
  }
  const bool is_same = std::equal(directive.begin(), directive.end(), diagnostic.begin(),
                                  [](char a, char b) { return a == (b >= 'a' ? b - 32 : b); });
  // "SKIPPED" is widely written, too.
  const std::string_view rest = diagnostic.substr(directive.size());
  return is_same && (rest.empty() || rest.front() == ' ' || rest.front() == ':' ||
                     (directive == "SKIP" && (rest.front() == 'P' || rest.front() == 'p')));
}

CaseOutcome outcome_of(bool is_ok, std::string_view diagnostic) {
  if (is_directive(diagnostic, "SKIP")) {
    return CaseOutcome::kSkipped;
  }
  if (is_directive(diagnostic, "TIMEOUT") || is_directive(diagnostic, "ERROR")) {
    return CaseOutcome::kFailed;
  }
  if (is_ok) {
    return CaseOutcome::kPassed;
  }
  // Known not to work yet: neither news nor a success.
  return is_directive(diagnostic, "TODO") || is_directive(diagnostic, "XFAIL")
             ? CaseOutcome::kSkipped
             : CaseOutcome::kFailed;
}

/// kselftest.h writes "ok 3 # SKIP name": the name behind the directive.
std::string_view behind_directive(std::string_view diagnostic) {
  for (const std::string_view word : {"SKIP", "XFAIL", "ERROR", "TODO"}) {
    if (is_directive(diagnostic, word)) {
      return trimmed(diagnostic.substr(word.size()));
    }
  }
  return diagnostic;
}

std::optional<Line> parse_result(std::string_view text) {
  const auto is_ok = behind(text, "ok");
  const auto rest = is_ok ? is_ok : behind(text, "not ok");
  if (!rest || (!rest->empty() && rest->front() != ' ')) {
    return std::nullopt;
  }
  CaseResult result;
  std::string_view left = trimmed(*rest);
  result.number = take_number(left).value_or(0);
  left = trimmed(left);
  if (left.starts_with("- ")) {
    left = trimmed(left.substr(2));
  }
  const auto hash = find_hash(left);
  result.name = trimmed(left.substr(0, hash));
  if (hash != std::string_view::npos) {
    result.diagnostic = trimmed(left.substr(hash + 1));
  }
  if (result.name.empty()) {
    result.name = behind_directive(result.diagnostic);
  }
  result.outcome = outcome_of(is_ok.has_value(), result.diagnostic);
  return result;
}

std::optional<Line> parse_plan(std::string_view text) {
  auto rest = behind(text, "1..");
  const auto count = rest ? take_number(*rest) : std::nullopt;
  if (!count) {
    return std::nullopt;
  }
  const std::string_view left = trimmed(*rest);
  if (!left.empty() && left.front() != '#') {
    return std::nullopt;
  }
  return Plan{.count = *count, .reason = left.empty() ? left : trimmed(left.substr(1))};
}

std::optional<Line> parse_version(std::string_view text) {
  for (const std::string_view prefix : {"TAP version ", "KTAP version "}) {
    auto rest = behind(text, prefix);
    if (rest && take_number(*rest) && rest->empty()) {
      return Version{.is_ktap = prefix.front() == 'K'};
    }
  }
  return std::nullopt;
}

}  // namespace

Line parse(std::string_view text) {
  if (const auto version = parse_version(text)) {
    return *version;
  }
  if (const auto plan = parse_plan(text)) {
    return *plan;
  }
  if (const auto result = parse_result(text)) {
    return *result;
  }
  if (const auto name = behind(text, "# Subtest: ")) {
    return Subtest{trimmed(*name)};
  }
  if (const auto name = behind(text, "# selftests: ")) {
    return Selftest{trimmed(*name)};
  }
  if (const auto reason = behind(text, "Bail out!")) {
    return BailOut{trimmed(*reason)};
  }
  return Other{};
}

}  // namespace gpuvm::tap
