// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/value_text.hpp"

#include <charconv>

#include "vmm/config/foreign_names.hpp"

namespace gpuvm::config {

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string list_words(std::span<const std::string_view> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view separator = i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    text += fmt::format("{}\"{}\"", separator, words[i]);
  }
  return text;
}

std::string number_text(std::int64_t number, IntegerRange range) {
  return range.hex_example.empty() ? fmt::format("{}", number) : fmt::format("{:#x}", number);
}

bool is_in_range(std::int64_t number, IntegerRange range) {
  return number >= range.least && number <= range.most;
}

std::string range_text(IntegerRange range) {
  return range.least == range.most ? number_text(range.least, range)
                                   : fmt::format("from {} to {}", number_text(range.least, range),
                                                 number_text(range.most, range));
}

std::string integer_rule(IntegerRange range) {
  return fmt::format("{}{}{}{}", range.least == range.most ? "" : "an integer ", range_text(range),
                     range.hex_example.empty() ? "" : ", such as ", range.hex_example);
}

std::string number_advice(const toml::node& node, IntegerRange range) {
  const auto* word = node.as_string();
  const std::string_view text = word != nullptr ? std::string_view(word->get()) : "";
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_meant = error == std::errc{} && end == text.data() + text.size() &&
                        range.hex_example.empty() && is_in_range(number, range);
  return is_meant ? fmt::format("; write {}, without quotes", number) : std::string();
}

std::string switch_advice(std::string_view schema_name, const toml::node& node) {
  const auto* word = node.as_string();
  const auto* number = node.as_integer();
  const std::string text = word != nullptr     ? word->get()
                           : number != nullptr ? fmt::format("{}", number->get())
                                               : std::string();
  const auto known = value_advice(schema_name, text);
  const auto guess = switch_guess(text);
  return !known.empty() || guess.empty() ? known : fmt::format("; write {}, without quotes", guess);
}

std::string list_advice(std::string_view schema_name, const toml::node& node) {
  const auto* word = node.as_string();
  if (word == nullptr) {
    return {};
  }
  const auto known = value_advice(schema_name, word->get().substr(0, word->get().find(':')));
  return known.empty() ? fmt::format("; write [\"{}\"]", printable(word->get())) : known;
}

}  // namespace gpuvm::config
