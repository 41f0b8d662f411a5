// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/json_syntax.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gpuvm {
namespace {

/// nlohmann_json tells it of each value; false ends the reading.
class SyntaxWatch final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit SyntaxWatch(std::string_view text) : text_(text) {}

  Status outcome() && { return failure_ ? Status(*std::move(failure_)) : Status(); }

  bool null() override { return note_value(); }
  bool boolean(bool) override { return note_value(); }
  bool number_integer(number_integer_t) override { return note_value(); }
  bool number_unsigned(number_unsigned_t) override { return note_value(); }
  bool number_float(number_float_t, const string_t&) override { return note_value(); }
  bool string(string_t&) override { return note_value(); }
  bool binary(binary_t&) override { return note_value(); }
  bool start_object(std::size_t) override { return note_value() && go_deeper(); }
  bool start_array(std::size_t) override { return note_value() && go_deeper(); }
  bool end_object() override { return go_back(); }
  bool end_array() override { return go_back(); }

  bool key(string_t& name) override {
    if (!levels_.back().keys.insert(name).second) {
      return refuse(fail(ErrorKind::kConfig, "{} is there twice", path_to(printable(name))));
    }
    levels_.back().key = printable(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    const auto at = std::min(position == 0 ? 0 : position - 1, text_.size());
    const auto before = text_.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_begin = before.rfind('\n');
    const auto column = at - (line_begin == std::string_view::npos ? 0 : line_begin + 1) + 1;
    return refuse(fail(ErrorKind::kConfig, "It is no JSON at line {}, column {}{}", line, column,
                       at >= text_.size() ? ", where it ends: is it cut short?" : ""));
  }

 private:
  struct Level {
    std::set<std::string, std::less<>> keys = {};
    std::string key = {};  ///< the last
  };

  /// Short, and fit for a message.
  static std::string printable(std::string_view name) {
    constexpr std::size_t kLongest = 60;
    std::string text(name.substr(0, kLongest));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }
  std::string path_to(const std::string& name) const {
    std::string path;
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      path += levels_[i].key.empty() ? "" : levels_[i].key + ".";
    }
    return path + name;
  }
  bool refuse(Error error) {
    failure_ = std::move(error);
    return false;
  }
  bool note_value() {
    ++values_;
    return values_ <= kMostJsonValues ||
           refuse(fail(ErrorKind::kConfig, "It has more than {} values", kMostJsonValues));
  }
  bool go_deeper() {
    levels_.emplace_back();
    return levels_.size() <= kMostJsonDepth ||
           refuse(fail(ErrorKind::kConfig, "It is deeper than {} levels", kMostJsonDepth));
  }
  bool go_back() {
    levels_.pop_back();
    return true;
  }

  const std::string_view text_;
  std::vector<Level> levels_;
  std::size_t values_ = 0;
  std::optional<Error> failure_;
};

}  // namespace

Status check_json_syntax(std::string_view text) {
  SyntaxWatch watch(text);
  nlohmann::json::sax_parse(text.begin(), text.end(), &watch);
  return std::move(watch).outcome();
}

}  // namespace gpuvm
