// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/metrics_line.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

namespace gpuvm {
namespace {

using Labels = std::map<std::string_view, std::string_view>;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The name that the text begins with; "" for none. A metric's may have colons, a label's not.
std::string_view take_name(std::string_view& text, bool may_have_colons) {
  std::size_t size = 0;
  while (size < text.size() && (is_letter(text[size]) || (text[size] == ':' && may_have_colons) ||
                                (is_digit(text[size]) && size > 0))) {
    ++size;
  }
  const std::string_view name = text.substr(0, size);
  text.remove_prefix(size);
  return name;
}

bool take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) {
    return false;
  }
  text.remove_prefix(what.size());
  return true;
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
}

/// Behind the first quote, up to and with the last one.
std::optional<std::string_view> take_value(std::string_view& text) {
  constexpr std::string_view kEscaped = "\\\"n";
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      const std::string_view value = text.substr(0, at);
      text.remove_prefix(at + 1);
      return value;
    }
    if (text[at] == '\\' &&
        (++at == text.size() || kEscaped.find(text[at]) == std::string_view::npos)) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

/// Behind "{", up to and with "}".
std::optional<Labels> take_labels(std::string_view& text) {
  Labels labels;
  for (;;) {
    skip_blanks(text);
    if (take(text, "}")) {
      return labels;
    }
    const std::string_view name = take_name(text, false);
    if (name.empty() || !take(text, "=\"")) {
      return std::nullopt;
    }
    const auto value = take_value(text);
    if (!value || !labels.emplace(name, *value).second) {
      return std::nullopt;
    }
    skip_blanks(text);
    if (!take(text, ",") && !text.starts_with('}')) {
      return std::nullopt;
    }
  }
}

/// With or without a sign, which from_chars() takes only where it is "-".
bool is_number(std::string_view text) {
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') {
    text.remove_prefix(1);
  }
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return (read.ec == std::errc() || read.ec == std::errc::result_out_of_range) &&
         read.ptr == text.data() + text.size();
}

bool is_time(std::string_view text) {
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

/// A value, and a time where there is one.
bool are_numbers(std::string_view text) {
  skip_blanks(text);
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view value = text.substr(0, end);
  text.remove_prefix(end);
  skip_blanks(text);
  return is_number(value) && (text.empty() || is_time(text));
}

/// No control characters, and UTF-8.
bool is_clean(std::string_view line) {
  constexpr unsigned char kFirstPrintable = 0x20;
  constexpr unsigned char kDelete = 0x7f;
  constexpr unsigned char kAscii = 0x80;
  bool is_ascii = true;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < kFirstPrintable || byte == kDelete) {
      return false;
    }
    is_ascii = is_ascii && byte < kAscii;
  }
  if (is_ascii) {
    return true;
  }
  // As a JSON string, without what would have a meaning there.
  std::string quoted = "\"";
  std::copy_if(line.begin(), line.end(), std::back_inserter(quoted),
               [](char c) { return c != '"' && c != '\\'; });
  quoted += '"';
  return nlohmann::json::accept(quoted);
}

bool is_help_text(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && (++at == text.size() || (text[at] != '\\' && text[at] != 'n'))) {
      return false;
    }
  }
  return true;
}

bool is_type(std::string_view text) {
  constexpr std::array<std::string_view, 5> kTypes = {"counter", "gauge", "histogram", "summary",
                                                      "untyped"};
  return std::find(kTypes.begin(), kTypes.end(), text) != kTypes.end();
}

}  // namespace

std::optional<MetricComment> read_metric_comment(std::string_view line) {
  if (!is_clean(line)) {
    return std::nullopt;
  }
  MetricComment comment;
  comment.is_help = take(line, "# HELP ");
  if (!comment.is_help && !take(line, "# TYPE ")) {
    return std::nullopt;
  }
  comment.name = take_name(line, true);
  if (comment.name.empty() || (!line.empty() && !take(line, " "))) {
    return std::nullopt;
  }
  const bool is_right = comment.is_help ? is_help_text(line) : is_type(line);
  return is_right ? std::optional(comment) : std::nullopt;
}

std::optional<MetricSample> read_metric_sample(std::string_view line) {
  if (!is_clean(line)) {
    return std::nullopt;
  }
  MetricSample sample{.name = take_name(line, true)};
  if (sample.name.empty()) {
    return std::nullopt;
  }
  sample.series = sample.name;
  if (!line.starts_with(' ') && !line.starts_with('{')) {
    return std::nullopt;
  }
  skip_blanks(line);
  if (take(line, "{")) {
    const auto labels = take_labels(line);
    if (!labels) {
      return std::nullopt;
    }
    if (const auto guest = labels->find("vm"); guest != labels->end()) {
      sample.guest = guest->second;
    }
    for (const auto& [name, value] : *labels) {
      if (value.empty()) {
        continue;  // as if it was not there
      }
      sample.series.append(" ").append(name).append("=\"").append(value).append("\"");
    }
  }
  return are_numbers(line) ? std::optional(std::move(sample)) : std::nullopt;
}

}  // namespace gpuvm
