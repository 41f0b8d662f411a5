// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/json_value.hpp"

#include <algorithm>
#include <charconv>

namespace gpuvm {
namespace {

constexpr std::size_t kLongestJsonText = 8000;

std::string_view type_of(const nlohmann::json& value) {
  return value.is_object()            ? "an object"
         : value.is_array()           ? "a list"
         : value.is_string()          ? "a string"
         : value.is_boolean()         ? "true or false"
         : value.is_null()            ? "null"
         : value.is_number_unsigned() ? "a number"
         : value.is_number_integer()  ? "a negative number"
                                      : "a fraction";
}

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  if (!text.starts_with("0x") || text.size() == 2) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 2, end, value, 16);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

}  // namespace

Error JsonValue::wrong(const std::string& what) const {
  return fail(ErrorKind::kConfig, "{} must be {}", path_.empty() ? "The document" : path_, what);
}

Result<std::optional<JsonValue>> JsonValue::optional_member(const char* key) const {
  if (!value_->is_object()) {
    return wrong(fmt::format("an object, not {}", type_of(*value_)));
  }
  const auto found = value_->find(key);
  return found == value_->end()
             ? std::optional<JsonValue>()
             : std::optional(JsonValue(*found, path_ + (path_.empty() ? "" : ".") + key));
}

Result<JsonValue> JsonValue::member(const char* key) const {
  auto found = TRY(optional_member(key));
  if (!found) {
    return fail(ErrorKind::kConfig, "{}{}{} is missing", path_, path_.empty() ? "" : ".", key);
  }
  return *std::move(found);
}

Result<std::vector<JsonValue>> JsonValue::items(std::size_t most) const {
  if (!value_->is_array()) {
    return wrong(fmt::format("a list, not {}", type_of(*value_)));
  }
  if (value_->size() > most) {
    return wrong(fmt::format("a list of at most {}, not {}", most, value_->size()));
  }
  std::vector<JsonValue> all;
  all.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    all.emplace_back((*value_)[i], fmt::format("{}[{}]", path_, i));
  }
  return all;
}

Result<std::uint64_t> JsonValue::number(std::uint64_t most) const {
  std::optional<std::uint64_t> value;
  if (value_->is_number_unsigned()) {
    value = value_->get<std::uint64_t>();
  } else if (value_->is_string()) {
    value = parse_hex(value_->get_ref<const std::string&>());
  }
  if (!value || *value > most) {
    const bool is_right_type = value_->is_number_unsigned() || value_->is_string();
    return wrong(fmt::format("a number from 0 to {} or a text such as \"0x1f\"{}", most,
                             is_right_type ? "" : fmt::format(", not {}", type_of(*value_))));
  }
  return *value;
}

Result<bool> JsonValue::boolean() const {
  if (!value_->is_boolean()) {
    return wrong(fmt::format("true or false, not {}", type_of(*value_)));
  }
  return value_->get<bool>();
}

Result<std::string> JsonValue::text() const {
  if (!value_->is_string()) {
    return wrong(fmt::format("a string, not {}", type_of(*value_)));
  }
  const auto& text = value_->get_ref<const std::string&>();
  const bool is_printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!is_printable || text.size() > kLongestJsonText) {
    return wrong(fmt::format("at most {} characters of printable ASCII", kLongestJsonText));
  }
  return text;
}

Result<Bdf> JsonValue::address() const {
  const auto bdf =
      value_->is_string() ? Bdf::parse(value_->get_ref<const std::string&>()) : std::nullopt;
  if (!bdf) {
    return wrong("a PCI address such as \"0000:01:00.0\"");
  }
  return *bdf;
}

Result<std::vector<std::string>> JsonValue::texts_of(const char* key, std::size_t most) const {
  std::vector<std::string> texts;
  for (const JsonValue& item : TRY(items_of(key, most))) {
    texts.push_back(TRY(item.text()));
  }
  return texts;
}

Result<std::vector<std::uint16_t>> JsonValue::small_numbers_of(const char* key,
                                                               std::size_t most) const {
  std::vector<std::uint16_t> numbers;
  for (const JsonValue& item : TRY(items_of(key, most))) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint16_t>::max();
    numbers.push_back(static_cast<std::uint16_t>(TRY(item.number(kMost))));
  }
  return numbers;
}

}  // namespace gpuvm
