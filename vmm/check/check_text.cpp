// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "vmm/base/text.hpp"
#include "vmm/check/check_line.hpp"

namespace gpuvm {
namespace {

struct LevelWords {
  std::string_view shown;
  std::string_view json;
  std::string_view colour;  ///< ECMA-48, Select Graphic Rendition
};

constexpr LevelWords words_of(CheckLevel level) {
  switch (level) {
    case CheckLevel::kPass:
      return {"PASS", "pass", "\x1b[32m"};
    case CheckLevel::kWarn:
      return {"WARN", "warn", "\x1b[33m"};
    case CheckLevel::kFail:
      return {"FAIL", "fail", "\x1b[1;31m"};
  }
  return {};
}
constexpr std::string_view kPlain = "\x1b[0m";

/// What a saved host says may hold anything.
std::string one_safe_line(std::string_view text) {
  std::string line = terminal_text(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

std::string line_text(const CheckLine& line, bool colour) {
  constexpr std::string_view kIndent = "                              ";
  const auto words = words_of(line.level);
  auto text =
      fmt::format("  {}{}{}  {:<22}{}\n", colour ? words.colour : "", words.shown,
                  colour ? kPlain : "", one_safe_line(line.check), one_safe_line(line.text));
  if (line.level != CheckLevel::kPass && !line.why.empty()) {
    text += fmt::format("{}why:  {}\n", kIndent, one_safe_line(line.why));
  }
  if (line.level != CheckLevel::kPass && !line.cure.empty()) {
    text += fmt::format("{}cure: {}\n", kIndent, one_safe_line(line.cure));
  }
  return text;
}

std::size_t count_of(const CheckLines& lines, CheckLevel level) {
  return static_cast<std::size_t>(std::count_if(
      lines.begin(), lines.end(), [level](const CheckLine& line) { return line.level == level; }));
}

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

int exit_status(const CheckLines& lines) {
  for (const ErrorKind kind : {ErrorKind::kHost, ErrorKind::kUnsafeDevice, ErrorKind::kConfig}) {
    for (const CheckLine& line : lines) {
      if (line.level == CheckLevel::kFail && line.kind == kind) {
        return exit_status(kind);
      }
    }
  }
  const auto failed = std::find_if(lines.begin(), lines.end(), [](const CheckLine& line) {
    return line.level == CheckLevel::kFail;
  });
  return failed == lines.end() ? 0 : exit_status(failed->kind);
}

std::string check_text(const CheckLines& lines, bool colour) {
  std::string text;
  std::string heading;
  bool is_first = true;
  for (const CheckLine& line : lines) {
    if (is_first || line.of != heading) {
      text += fmt::format("{}{}\n", is_first ? "" : "\n",
                          line.of.empty() ? "Host" : one_safe_line(line.of));
      heading = line.of;
      is_first = false;
    }
    text += line_text(line, colour);
  }
  return text + fmt::format("\n{}, {}, {} in order\n",
                            counted(count_of(lines, CheckLevel::kFail), "failure"),
                            counted(count_of(lines, CheckLevel::kWarn), "warning"),
                            count_of(lines, CheckLevel::kPass));
}

std::string check_json(const CheckLines& lines) {
  using OrderedJson = nlohmann::ordered_json;
  OrderedJson all = OrderedJson::array();
  for (const CheckLine& line : lines) {
    all.push_back({{"level", words_of(line.level).json},
                   {"check", line.check},
                   {"of", line.of.empty() ? OrderedJson() : OrderedJson(line.of)},
                   {"text", line.text},
                   {"why", line.why},
                   {"cure", line.cure}});
  }
  OrderedJson document;
  document["exit_status"] = exit_status(lines);
  document["lines"] = std::move(all);
  return document.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace gpuvm
