// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/shell_variables.hpp"

#include <algorithm>
#include <charconv>

#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostItems = 20000;     ///< of an array
constexpr std::size_t kMostBytes = 1U << 20;  ///< of a variable
constexpr std::size_t kMostOfItsNotes = 64;   ///< of a variable
constexpr std::size_t kMostVariables = 4096;
constexpr unsigned kMostBrackets = 16;  ///< in each other

bool is_letter_of_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The length of "[KEY]" at the start of a text; 0: there is none.
std::size_t key_length(std::string_view text) {
  const auto end = text.find(']');
  return text.starts_with('[') && end != std::string_view::npos ? end + 1 : 0;
}

void add_some(Notes& to, const Notes& from) {
  for (const auto& note : from) {
    if (to.size() < kMostOfItsNotes) {
      to.push_back(note);
    }
  }
}

/// An integer expression, read from left to right.
class Sum {
 public:
  Sum(std::string_view text, const ShellVariables& variables)
      : text_(text), variables_(variables) {}

  std::optional<std::int64_t> value() {
    const auto sum = add();
    skip_space();
    return text_.empty() ? sum : std::nullopt;
  }

 private:
  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\t' || text_[0] == '\n')) {
      text_.remove_prefix(1);
    }
  }

  bool take(char wanted) {
    skip_space();
    const bool is_there = text_.starts_with(wanted);
    text_.remove_prefix(is_there ? 1 : 0);
    return is_there;
  }

  std::optional<std::int64_t> add() {
    auto left = multiply();
    while (left) {
      const bool is_plus = take('+');
      if (!is_plus && !take('-')) {
        break;
      }
      const auto right = multiply();
      std::int64_t result = 0;
      const bool is_over = !right || (is_plus ? __builtin_add_overflow(*left, *right, &result)
                                              : __builtin_sub_overflow(*left, *right, &result));
      left = is_over ? std::nullopt : std::optional(result);
    }
    return left;
  }

  std::optional<std::int64_t> multiply() {
    auto left = single();
    while (left) {
      const char sign = take('*') ? '*' : take('/') ? '/' : take('%') ? '%' : '\0';
      if (sign == '\0') {
        break;
      }
      const auto right = single();
      std::int64_t result = 0;
      if (!right || (sign != '*' && *right <= 0) ||
          (sign == '*' && __builtin_mul_overflow(*left, *right, &result))) {
        return std::nullopt;
      }
      left = sign == '*' ? result : sign == '/' ? *left / *right : *left % *right;
    }
    return left;
  }

  std::optional<std::int64_t> single() {
    if (take('(')) {
      const auto inside = ++depth_ < kMostBrackets ? add() : std::nullopt;
      --depth_;
      return take(')') ? inside : std::nullopt;
    }
    take('$');
    const bool is_braced = take('{');
    const std::size_t length = name_length(text_);
    const std::string_view word = text_.substr(0, length);
    text_.remove_prefix(length);
    if (is_braced && !take('}')) {
      return std::nullopt;
    }
    const auto expansion = variables_.expand(word);
    const auto number =
        number_of(expansion && !expansion->items.empty() ? expansion->items[0] : word);
    constexpr std::uint64_t kMostNumber = std::uint64_t{1} << 62;
    return number && *number < kMostNumber ? std::optional(static_cast<std::int64_t>(*number))
                                           : std::nullopt;
  }

  std::string_view text_;
  const ShellVariables& variables_;
  unsigned depth_ = 0;
};

}  // namespace

std::size_t name_length(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_letter_of_name) -
                                  text.begin());
}

bool ShellVariables::is_assignment(std::string_view word) {
  const std::size_t length = name_length(word);
  if (length == 0 || (word[0] >= '0' && word[0] <= '9')) {
    return false;
  }
  word.remove_prefix(length);
  word.remove_prefix(key_length(word));
  return word.starts_with('=') || word.starts_with("+=");
}

void ShellVariables::assign(std::string_view word, const Notes& notes, std::size_t condition) {
  const auto equal = word.find('=');
  std::string_view name = word.substr(0, equal);
  const bool is_added = name.ends_with('+');
  name.remove_suffix(is_added ? 1 : 0);
  if (values_.size() >= kMostVariables && find(name) == nullptr) {
    return;
  }
  auto& value = values_[std::string(name)];
  const std::string_view text = word.substr(equal + 1);
  if (!is_added || value.items.empty()) {
    value.items = {std::string(text)};
    value.notes = is_added ? value.notes : Notes();
  } else if (value.items[0].size() < kMostBytes) {
    value.items[0] += text;
  }
  add_some(value.notes, notes);
  value.condition = condition;
}

void ShellVariables::assign_array(std::string_view name, std::vector<std::string> items,
                                  const Notes& notes, std::size_t condition) {
  const bool is_added = name.ends_with('+');
  name.remove_suffix(is_added ? 1 : 0);
  if (values_.size() >= kMostVariables && find(name) == nullptr) {
    return;
  }
  auto& value = values_[std::string(name)];
  if (!is_added) {
    value = ShellValue();
  }
  for (auto& item : items) {
    if (value.items.size() < kMostItems) {
      value.items.push_back(std::move(item));
    }
  }
  add_some(value.notes, notes);
  value.condition = condition != 0 ? condition : value.condition;
}

bool ShellVariables::may_expand(std::size_t bytes) {
  constexpr std::size_t kMostExpanded = 1U << 20;
  expanded_ += bytes;
  return expanded_ <= kMostExpanded;
}

const ShellValue* ShellVariables::find(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &found->second;
}

ShellExpansion ShellVariables::look_up(std::string_view name, std::string_view key) const {
  ShellExpansion out;
  out.of = find(name);
  out.is_all = key == "[@]" || key == "[*]";
  if (out.is_all) {
    out.items = out.of != nullptr ? out.of->items : std::vector<std::string>();
    return out;
  }
  if (const auto* const keyed =
          key.empty() ? nullptr : find(std::string(name) + std::string(key))) {
    out.of = keyed;
    key = {};
  }
  const auto number =
      key.empty() ? std::optional<std::uint64_t>(0) : number_of(key.substr(1, key.size() - 2));
  const bool is_there = out.of != nullptr && number && *number < out.of->items.size();
  if (is_there) {
    out.items = {out.of->items[*number]};
  } else if (!key.empty()) {
    out.of = nullptr;
  }
  return out;
}

std::optional<ShellExpansion> ShellVariables::expand(std::string_view inside) const {
  const std::size_t length = name_length(inside);
  const std::string_view name = inside.substr(0, length);
  std::string_view rest = inside.substr(length);
  const std::string_view key = rest.substr(0, key_length(rest));
  rest.remove_prefix(key.size());
  const auto out = look_up(name, key);
  if (length == 0 || (rest.empty() && out.of == nullptr)) {
    return std::nullopt;
  }
  if (rest.empty()) {
    return out;
  }
  const bool has_colon = rest.starts_with(':');
  rest.remove_prefix(has_colon ? 1 : 0);
  const char sign = rest.empty() ? '\0' : rest[0];
  const std::string text(rest.substr(rest.empty() ? 0 : 1));
  const bool is_set =
      out.of != nullptr && (!has_colon || (!out.items.empty() && !out.items[0].empty()));
  if (sign == '-' || sign == '=') {
    return is_set ? out : ShellExpansion{{text}, false, nullptr};
  }
  if (sign == '+') {
    return is_set ? ShellExpansion{{text}, false, out.of} : ShellExpansion();
  }
  return sign == '?' && is_set ? std::optional(out) : std::nullopt;
}

std::optional<std::int64_t> ShellVariables::calculate(std::string_view text) const {
  return Sum(text, *this).value();
}

}  // namespace gpuvm::convert
