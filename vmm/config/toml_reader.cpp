// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/toml_reader.hpp"

#include <algorithm>
#include <climits>

#include "vmm/config/foreign_names.hpp"
#include "vmm/config/value_text.hpp"

namespace gpuvm::config {
namespace {

std::string place_of_key(const toml::key& key, const toml::node& node) {
  const auto place = place_of(key.source());
  return place.empty() ? place_of(node) : place;
}

/// What a rule says beside the type, for who knows the type already.
std::string rule_beyond_type(std::string_view rule) {
  return rule == "a string" || rule == "a list of strings" ? std::string() : std::string(rule);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

const toml::node* TableReader::find(std::string_view key, KnownName::Kind kind) {
  known_.push_back({.name = key, .kind = kind});
  context_->keys.insert(schema_name_of(key));
  return table_->get(key);
}

std::string TableReader::schema_name_of(std::string_view key) const {
  return schema_name_.empty() || key.empty() ? fmt::format("{}{}", schema_name_, key)
                                             : fmt::format("{}.{}", schema_name_, key);
}

std::string TableReader::name_of(std::string_view key) const {
  return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
}

/// Of the key, or else of the table it is missing from, or else the document.
std::string TableReader::place(std::string_view key) const {
  std::string place;
  if (const auto* node = table_->get(key)) {
    place = place_of(*node);
  } else {
    place = place_of(*table_);
  }
  return place.empty() ? fmt::format(" ({})", context_->label) : place;
}

Error TableReader::must_be(std::string_view key, std::string_view what, std::string_view actual,
                           std::string_view advice) const {
  return fail(ErrorKind::kConfig, "{} must be {}, not {}{}{}", name_of(key), what, actual,
              place(key), advice);
}

std::string TableReader::own_place() const {
  const auto place = place_of(*table_);
  return name_ + (place.empty() ? fmt::format(" ({})", context_->label) : place);
}

std::optional<std::int64_t> TableReader::held_integer(std::string_view key) const {
  const auto* node = table_->get(key);
  const auto* integer = node != nullptr ? node->as_integer() : nullptr;
  return integer != nullptr ? std::optional(integer->get()) : std::nullopt;
}

ConfigPlace TableReader::place_of_value(std::string_view key) const {
  return {.text = name_of(key) + place(key)};
}

Error TableReader::wrong(std::string_view key, std::string_view problem) const {
  return fail(ErrorKind::kConfig, "{} {}{}", name_of(key), problem, place(key));
}

Result<std::int64_t> TableReader::checked_integer(std::string_view key, const toml::node& node,
                                                  IntegerRange range) const {
  const auto* value = node.as_integer();
  if (value == nullptr) {
    return must_be(key, integer_rule(range), kind_of(node), number_advice(node, range));
  }
  if (!is_in_range(value->get(), range)) {
    return must_be(key, integer_rule(range), number_text(value->get(), range));
  }
  return value->get();
}

Result<std::int64_t> TableReader::checked_element(std::string_view key, const toml::node& element,
                                                  IntegerRange range, std::string_view rule) const {
  const auto* value = element.as_integer();
  if (value == nullptr) {
    return must_be(key, rule, fmt::format("a list with {}", kind_of(element)));
  }
  if (!is_in_range(value->get(), range)) {
    const auto own_place = place_of(element);
    return fail(ErrorKind::kConfig, "{} has {}: each number must be {}{}", name_of(key),
                number_text(value->get(), range), range_text(range),
                own_place.empty() ? place(key) : own_place);
  }
  return value->get();
}

Result<std::int64_t> TableReader::integer(std::string_view key, IntegerRange range,
                                          std::int64_t otherwise) {
  return TRY(optional_integer(key, range)).value_or(otherwise);
}

Result<std::optional<std::int64_t>> TableReader::optional_integer(std::string_view key,
                                                                  IntegerRange range) {
  note(key, {.kind = KeyForm::Kind::kInteger, .least = range.least, .most = range.most});
  const auto* node = find(key);
  if (node == nullptr) {
    return std::optional<std::int64_t>{};
  }
  return std::optional(TRY(checked_integer(key, *node, range)));
}

Result<bool> TableReader::boolean(std::string_view key, bool otherwise) {
  note(key, {.kind = KeyForm::Kind::kBoolean});
  const auto* node = find(key);
  if (node == nullptr) {
    return otherwise;
  }
  if (!node->is_boolean()) {
    const auto* word = node->as_string();
    return must_be(
        key, "true or false",
        word != nullptr ? '"' + printable(word->get()) + '"' : std::string(kind_of(*node)),
        switch_advice(schema_name_of(key), *node));
  }
  return node->as_boolean()->get();
}

Result<std::string> TableReader::checked_string(std::string_view key, const toml::node& node,
                                                std::string_view rule) const {
  const auto* value = node.as_string();
  if (value == nullptr) {
    return must_be(key, rule, kind_of(node));
  }
  if (has_control_character(value->get())) {
    return wrong(key, "must not contain control characters");
  }
  return value->get();
}

Result<std::optional<std::string>> TableReader::optional_string(std::string_view key,
                                                                std::string_view rule) {
  note(key, {.kind = KeyForm::Kind::kString, .rule = rule_beyond_type(rule)});
  const auto* node = find(key);
  if (node == nullptr) {
    return std::optional<std::string>{};
  }
  return std::optional(TRY(checked_string(key, *node, rule)));
}

Result<std::optional<std::string>> TableReader::optional_path(std::string_view key) {
  auto text = TRY(optional_string(key));
  if (!text) {
    return text;
  }
  TRY(check_path(key, *text));
  return std::optional(resolve_path(context_->directory, *text));
}

Status TableReader::check_path(std::string_view key, std::string_view path) const {
  if (path.empty()) {
    return wrong(key, "must not be empty");
  }
  if (const auto trouble = trouble_with_path(path); !trouble.empty()) {
    return wrong(key, trouble);
  }
  if (resolve_path(context_->directory, path).size() >= PATH_MAX) {
    return wrong(key, "is longer than a path can be");
  }
  return {};
}

Result<std::size_t> TableReader::choice(std::string_view key,
                                        std::span<const std::string_view> words,
                                        std::size_t otherwise) {
  note(key, {.kind = KeyForm::Kind::kString, .words = {words.begin(), words.end()}});
  const auto* node = find(key);
  if (node == nullptr) {
    return otherwise;
  }
  const auto text = TRY(checked_string(key, *node, list_words(words)));
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) {
    return must_be(key, list_words(words), '"' + printable(text) + '"',
                   value_advice(schema_name_of(key), text));
  }
  return static_cast<std::size_t>(found - words.begin());
}

Result<std::optional<std::vector<std::string>>> TableReader::optional_strings(
    std::string_view key, std::string_view rule) {
  note(key, {.kind = KeyForm::Kind::kStrings, .rule = rule_beyond_type(rule)});
  const auto* node = find(key);
  if (node == nullptr) {
    return std::optional<std::vector<std::string>>{};
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    return must_be(key, rule, kind_of(*node), list_advice(schema_name_of(key), *node));
  }
  std::vector<std::string> strings;
  for (const auto& element : *array) {
    if (!element.is_string()) {
      return must_be(key, rule, fmt::format("one with {}", kind_of(element)));
    }
    strings.push_back(TRY(checked_string(key, element, "a string")));
  }
  return std::optional(std::move(strings));
}

Result<std::optional<std::vector<std::int64_t>>> TableReader::optional_integers(
    std::string_view key, IntegerRange range, std::string_view rule) {
  note(key, {.kind = KeyForm::Kind::kIntegers, .least = range.least, .most = range.most});
  const auto* node = find(key);
  if (node == nullptr) {
    return std::optional<std::vector<std::int64_t>>{};
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    return must_be(key, rule, kind_of(*node));
  }
  std::vector<std::int64_t> integers;
  for (const auto& element : *array) {
    integers.push_back(TRY(checked_element(key, element, range, rule)));
  }
  return std::optional(std::move(integers));
}

Result<TableReader> TableReader::table(std::string_view key, std::string_view example) {
  static const toml::table empty;
  note(key, {.kind = KeyForm::Kind::kTable});
  const auto* node = find(key, name_.empty() ? KnownName::Kind::kTable : KnownName::Kind::kValue);
  if (node != nullptr && !node->is_table()) {
    return must_be(key,
                   is_entry() ? fmt::format("a table such as {}", example)
                              : fmt::format("a table, [{}]", name_of(key)),
                   kind_of(*node));
  }
  return TableReader(node != nullptr ? node->as_table() : &empty, context_, name_of(key),
                     schema_name_of(key));
}

Result<std::vector<TableReader>> TableReader::tables(std::string_view key) {
  std::vector<TableReader> readers;
  note(key, {.kind = KeyForm::Kind::kTables});
  const auto* node = find(key, KnownName::Kind::kList);
  if (node == nullptr) {
    return readers;
  }
  const auto rule = fmt::format("a list of tables, [[{}]]", name_of(key));
  const auto* array = node->as_array();
  if (array == nullptr) {
    return must_be(key, rule, kind_of(*node));
  }
  for (const auto& element : *array) {
    if (!element.is_table()) {
      return must_be(key, rule, fmt::format("one with {}", kind_of(element)));
    }
    readers.push_back(TableReader(element.as_table(), context_,
                                  fmt::format("{}.{}", name_of(key), readers.size()),
                                  schema_name_of(key)));
  }
  return readers;
}

std::vector<std::string_view> TableReader::names() const {
  note("", {.kind = KeyForm::Kind::kFreeTable});
  std::vector<std::string_view> names;
  for (const auto& [key, node] : *table_) {
    names.push_back(key.str());
  }
  return names;
}

Result<std::string> TableReader::text(std::string_view key, std::string_view rule) {
  note(key, {.kind = KeyForm::Kind::kString, .rule = std::string(rule)});
  const auto* node = find(key);
  const auto* value = node != nullptr ? node->as_string() : nullptr;
  if (value == nullptr) {
    return must_be(key, rule, node != nullptr ? kind_of(*node) : "absent");
  }
  return value->get();
}

bool TableReader::holds_table(std::string_view key) const {
  const auto* node = table_->get(key);
  return node != nullptr && node->is_table();
}

bool TableReader::holds_inline_table(std::string_view key) const {
  const auto* node = table_->get(key);
  return node != nullptr && node->is_table() && node->as_table()->is_inline();
}

bool TableReader::holds_string(std::string_view key) const {
  const auto* node = table_->get(key);
  return node != nullptr && node->is_string();
}

Status TableReader::finish() const {
  for (const auto& [key, node] : *table_) {
    const std::string_view name = key.str();
    if (std::none_of(known_.begin(), known_.end(),
                     [name](const KnownName& known) { return known.name == name; })) {
      return fail(ErrorKind::kConfig, "Unknown key {}{}{}", printable(name_of(name)),
                  place_of_key(key, node), advice_on(name));
    }
  }
  return {};
}

/// Of a list: "pci.0". No table's own name ends with a digit.
bool TableReader::is_entry() const {
  return !name_.empty() && is_digit(name_.back());
}

std::string TableReader::advice_on(std::string_view unknown_key) const {
  if (is_entry() && !unknown_key.empty() &&
      std::all_of(unknown_key.begin(), unknown_key.end(), is_digit)) {
    // TOML takes the number for a key of the last entry. Messages and --set do have the number.
    return fmt::format("; a file does not number its [[{}]]: write [{}.KEY]", schema_name_,
                       schema_name_);
  }
  return suggestion(schema_name_, unknown_key, known_);
}

}  // namespace gpuvm::config
