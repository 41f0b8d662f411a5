// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/overrides.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostKeyParts = 8;

struct Override {
  std::string label;  ///< "--set key=value", for messages
  std::vector<std::string> keys;
  toml::table holder;  ///< owns the value, under the key "v"
};

bool is_bare_key(std::string_view key) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), is_allowed);
}

std::optional<std::size_t> parse_index(std::string_view text) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return index;
}

std::optional<std::vector<std::string>> split_keys(std::string_view dotted) {
  std::vector<std::string> keys;
  for (;;) {
    const auto dot = dotted.find('.');
    const auto key = dotted.substr(0, dot);
    if (!is_bare_key(key) || keys.size() == kMostKeyParts) {
      return std::nullopt;
    }
    keys.emplace_back(key);
    if (dot == std::string_view::npos) {
      return keys;
    }
    dotted.remove_prefix(dot + 1);
  }
}

/// A table {v = value} for a TOML value, or a bare string. Text that opens a quote, list or table
/// is meant as TOML, so its errors are not hidden by taking it as a string.
Result<toml::table> parse_value(std::string_view text, const std::string& label) {
  if (text.find_first_of("\r\n") == std::string_view::npos) {
    auto parsed = toml::parse(fmt::format("v = {}", text), label);
    if (parsed && parsed.table().size() == 1) {
      return std::move(parsed).table();
    }
  }
  constexpr std::string_view kOpening = "\"'[{";
  if (!text.empty() && kOpening.find(text.front()) != std::string_view::npos) {
    return fail(ErrorKind::kConfig, "{}: the value is not valid TOML", printable(label));
  }
  std::string quoted;
  for (const char c : text) {
    quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
  }
  auto parsed = toml::parse(fmt::format("v = \"{}\"", quoted), label);
  if (!parsed) {
    return fail(ErrorKind::kConfig, "{}: the value is not text in UTF-8 without control characters",
                printable(label));
  }
  return std::move(parsed).table();
}

Result<Override> parse_override(const std::string& text) {
  const auto equals = text.find('=');
  const auto keys = split_keys(std::string_view(text).substr(0, equals));
  if (equals == std::string::npos || !keys) {
    return fail(ErrorKind::kUsage,
                "--set {} is not of the form key=value, for instance "
                "machine.cpus=4 or pci.0.managed=false",
                printable(text));
  }
  auto label = "--set " + text;
  auto holder = TRY(parse_value(std::string_view(text).substr(equals + 1), label));
  return Override{std::move(label), *keys, std::move(holder)};
}

/// A place in the document: a key of a table, or an element of a list (one past the last adds one).
class Slot {
 public:
  static Result<Slot> create(toml::node& container, const std::string& key,
                             const std::string& label) {
    if (auto* table = container.as_table()) {
      return Slot(table, nullptr, key, 0);
    }
    auto* array = container.as_array();
    const auto index = parse_index(key);
    if (array == nullptr) {
      return fail(ErrorKind::kConfig, "{}: there is no key below a value that is not a table",
                  printable(label));
    }
    if (!index || *index > array->size()) {
      return fail(ErrorKind::kConfig,
                  "{}: the list has {} entries, so an index from 0 to {} is "
                  "needed, not {}",
                  printable(label), array->size(), array->size(), key);
    }
    return Slot(nullptr, array, key, *index);
  }

  toml::node* get() const { return table_ != nullptr ? table_->get(key_) : array_->get(index_); }

  template <class Value>
  void set(Value&& value) {
    if (table_ != nullptr) {
      table_->insert_or_assign(key_, std::forward<Value>(value));
    } else if (index_ < array_->size()) {
      array_->replace(array_->cbegin() + static_cast<std::ptrdiff_t>(index_),
                      std::forward<Value>(value));
    } else {
      array_->push_back(std::forward<Value>(value));
    }
  }

 private:
  Slot(toml::table* table, toml::array* array, std::string key, std::size_t index)
      : table_(table), array_(array), key_(std::move(key)), index_(index) {}

  toml::table* table_;  ///< this or array_
  toml::array* array_;
  std::string key_;
  std::size_t index_;
};

/// What --set creates on the way to a key: a list where an index follows, else a table.
void create_container(Slot& slot, const std::string& next_key) {
  if (parse_index(next_key)) {
    slot.set(toml::array{});
  } else {
    slot.set(toml::table{});
  }
}

}  // namespace

Status apply_override(toml::table& root, const std::string& text) {
  auto change = TRY(parse_override(text));
  toml::node* container = &root;
  for (std::size_t i = 0; i + 1 < change.keys.size(); ++i) {
    auto slot = TRY(Slot::create(*container, change.keys[i], change.label));
    if (slot.get() == nullptr) {
      create_container(slot, change.keys[i + 1]);
    }
    container = slot.get();
  }
  auto slot = TRY(Slot::create(*container, change.keys.back(), change.label));
  // Moved, not copied: a copy forgets where it was parsed.
  change.holder.get("v")->visit([&slot](auto& value) { slot.set(std::move(value)); });
  return {};
}

}  // namespace gpuvm::config
