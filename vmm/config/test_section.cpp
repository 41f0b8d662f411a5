// SPDX-License-Identifier: Apache-2.0
// [test]: how a guest may tell what came of it, and what a job is (`gpuvm test`).
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <tuple>

#include "vmm/config/sections.hpp"
#include "vmm/verdict/console_patterns.hpp"

namespace gpuvm::config {
namespace {

constexpr std::chrono::seconds kLongestLimit{7 * 24 * 3600};
constexpr std::string_view kLimitRule =
    "a duration of 1 s to 7 days such as \"90s\", \"10min\", \"2h\" or \"1h 30min\", or \"off\"";
constexpr std::size_t kLongestCommand = 4096;
constexpr TableReader::IntegerRange kRetries{0, 10};
constexpr TableReader::IntegerRange kReboots{0, 1000};

struct LimitUnit {
  std::string_view name;
  std::int64_t seconds;
};
/// "m" as --wait has it.
constexpr std::array<LimitUnit, 5> kLimitUnits{
    {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 24 * std::int64_t{3600}}}};

/// Takes "90s" from the front.
std::optional<std::int64_t> take_part(std::string_view& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto length = static_cast<std::size_t>(
      std::find_if_not(text.begin(), text.end(), is_letter) - text.begin());
  const auto unit = std::find_if(kLimitUnits.begin(), kLimitUnits.end(), [&](const LimitUnit& one) {
    return one.name == text.substr(0, length);
  });
  if (unit == kLimitUnits.end()) {
    return std::nullopt;
  }
  text.remove_prefix(length);
  return std::int64_t{number} * unit->seconds;
}

/// Of "1h 30min"; 0 for "off".
std::optional<std::chrono::seconds> parse_limit(std::string_view text) {
  if (text == "off") {
    return std::chrono::seconds(0);
  }
  std::chrono::seconds sum{0};
  do {
    const auto part = take_part(text);
    if (!part || *part > kLongestLimit.count()) {
      return std::nullopt;
    }
    sum += std::chrono::seconds(*part);
    text.remove_prefix(text.starts_with(' ') && text.size() > 1 ? 1 : 0);
  } while (!text.empty() && sum <= kLongestLimit);
  return sum >= std::chrono::seconds(1) && sum <= kLongestLimit ? std::optional(sum) : std::nullopt;
}

}  // namespace

Result<std::chrono::seconds> read_limit(TableReader& table, std::string_view key,
                                        std::chrono::seconds otherwise) {
  const auto text = TRY(table.optional_string(key, kLimitRule));
  if (!text) {
    return otherwise;
  }
  const auto limit = parse_limit(*text);
  if (!limit) {
    return table.must_be(key, kLimitRule, '"' + printable(*text) + '"');
  }
  return *limit;
}

namespace {

/// A list, or one that stands alone.
Result<std::vector<std::string>> read_patterns(TableReader& table, std::string_view key) {
  std::vector<std::string> patterns;
  if (table.holds_string(key)) {
    patterns.push_back(TRY(table.optional_string(key)).value_or(""));
  } else {
    patterns = TRY(table.optional_strings(key)).value_or(std::vector<std::string>());
  }
  if (patterns.size() > ConsolePatterns::kMost) {
    return table.wrong(key, fmt::format("has {} patterns, of {} at most", patterns.size(),
                                        ConsolePatterns::kMost));
  }
  for (const std::string& pattern : patterns) {
    if (const auto wrong = ConsolePatterns::why_not(pattern)) {
      return table.wrong(key, fmt::format("\"{}\" {}", printable(pattern), one_line(*wrong)));
    }
  }
  return patterns;
}

Status read_job(TableReader& table, TestConfig& test) {
  test.command = TRY(table.optional_string("command")).value_or("");
  if (test.command.size() > kLongestCommand) {
    return table.wrong("command", fmt::format("has {} characters, of {} at most: put it into a "
                                              "script of the image or a share",
                                              test.command.size(), kLongestCommand));
  }
  test.timeout = TRY(read_limit(table, "timeout", test.timeout));
  test.first_console_timeout =
      TRY(read_limit(table, "first_console_timeout", test.first_console_timeout));
  test.console_timeout = TRY(read_limit(table, "console_timeout", test.console_timeout));
  test.success_pattern = TRY(read_patterns(table, "success_pattern"));
  test.failure_pattern = TRY(read_patterns(table, "failure_pattern"));
  test.retries = static_cast<unsigned>(TRY(table.integer("retries", kRetries, test.retries)));
  test.reboots = static_cast<unsigned>(TRY(table.integer("reboots", kReboots, test.reboots)));
  return {};
}

// Channels besides the exit port and pvpanic.

constexpr std::size_t kLongestResultPath = 1024;
constexpr std::string_view kResultFileRule =
    "\"TAG:PATH\": a [[share]]'s tag, and a path in it without \".\" and \"..\"";

constexpr std::string_view kShareRule = "the tag of a [[share]]";

/// Of names with "/" between, none of which leads anywhere else.
bool is_path_inside(std::string_view path) {
  if (path.empty() || path.size() > kLongestResultPath) {
    return false;
  }
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto name = path.substr(begin, end - begin);
    if (name.empty() || name == "." || name == "..") {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

Result<std::optional<ResultFileConfig>> read_result_file(TableReader& table) {
  const auto text = TRY(table.optional_string("result_file", kResultFileRule));
  if (!text) {
    return std::optional<ResultFileConfig>();
  }
  const auto colon = text->find(':');
  ResultFileConfig file;
  file.tag = text->substr(0, colon);
  file.path = colon == std::string::npos ? "" : text->substr(colon + 1);
  if (file.tag.empty() || !is_path_inside(file.path)) {
    return table.must_be("result_file", kResultFileRule, '"' + printable(*text) + '"');
  }
  return std::optional(std::move(file));
}

Status read_channels(TableReader& table, TestConfig& test) {
  test.status_port = TRY(table.boolean("status_port", test.status_port));
  test.vsock_status = TRY(table.boolean("vsock_status", test.vsock_status));
  test.notify = TRY(table.boolean("notify", test.notify));
  test.result_file = TRY(read_result_file(table));
  test.artifact_share = TRY(table.optional_string("artifact_share", kShareRule)).value_or("");
  return {};
}

/// That the guest can write to the share with this tag, which a key has named.
Status check_share(const TableReader& table, std::string_view key, const std::string& tag,
                   const std::vector<ShareConfig>& shares) {
  const auto share = std::find_if(shares.begin(), shares.end(),
                                  [&tag](const ShareConfig& each) { return each.tag == tag; });
  if (share == shares.end()) {
    return table.wrong(key, fmt::format("names the share {}: there is no [[share]] with that tag",
                                        printable(tag)));
  }
  if (share->read_only) {
    return table.wrong(
        key, fmt::format("names the share {}, which is read-only: the guest cannot write it", tag));
  }
  return {};
}

/// The credentials by which gpuvm tells the guest of its channels are not the user's.
Status check_free_credential(const TableReader& table, std::string_view key, std::string_view name,
                             const std::vector<CredentialConfig>& credentials) {
  const bool is_taken =
      std::any_of(credentials.begin(), credentials.end(),
                  [name](const CredentialConfig& each) { return each.name == name; });
  return is_taken ? Status(table.wrong(key, fmt::format("makes the credential {} itself: remove "
                                                        "that from [credentials]",
                                                        name)))
                  : Status();
}

}  // namespace

Result<TestConfig> read_test(TableReader table) {
  TestConfig test;
  test.exit_port = TRY(table.boolean("exit_port", test.exit_port));
  test.pvpanic = TRY(table.boolean("pvpanic", test.pvpanic));
  TRY(read_job(table, test));
  TRY(read_channels(table, test));
  TRY(table.finish());
  return test;
}

Status check_channels(const TableReader& table, const Config& config) {
  for (const auto& [is_on, key, credential] :
       {std::tuple{config.test.vsock_status, "vsock_status", "gpuvm.status_port"},
        std::tuple{config.test.notify, "notify", "vmm.notify_socket"}}) {
    if (is_on && !config.vsock) {
      return table.wrong(key, "goes by the guest's vsock: add a section [vsock]");
    }
    if (is_on) {
      TRY(check_free_credential(table, key, credential, config.credentials));
    }
  }
  if (config.test.result_file) {
    TRY(check_share(table, "result_file", config.test.result_file->tag, config.shares));
  }
  return config.test.artifact_share.empty()
             ? Status()
             : check_share(table, "artifact_share", config.test.artifact_share, config.shares);
}

}  // namespace gpuvm::config
