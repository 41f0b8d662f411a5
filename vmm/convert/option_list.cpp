// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/option_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostValues = 256;  ///< of one option
constexpr unsigned kMostJsonDepth = 8;    ///< of JSON

std::string name_of(std::string_view text) {
  std::string name(text);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string value_of(const nlohmann::json& value) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_boolean()) {
    return value.get<bool>() ? "on" : "off";
  }
  return value.is_number_unsigned()  ? std::to_string(value.get<std::uint64_t>())
         : value.is_number_integer() ? std::to_string(value.get<std::int64_t>())
                                     : std::string();
}

/// "file.filename" for what lies deeper.
void flatten(const nlohmann::json& object, const std::string& prefix, unsigned depth,
             std::vector<std::pair<std::string, std::string>>& values) {
  for (const auto& [key, value] : object.items()) {
    if (values.size() >= kMostValues) {
      return;
    }
    const std::string name = prefix + name_of(key);
    if (value.is_object() && depth < kMostJsonDepth) {
      flatten(value, name + ".", depth + 1, values);
    } else {
      values.emplace_back(name, value_of(value));
    }
  }
}

/// Up to the next single comma; ",," is one in the value.
std::string take_part(std::string_view& text) {
  std::string part;
  while (!text.empty()) {
    if (text.starts_with(",,")) {
      part += ',';
      text.remove_prefix(2);
    } else if (text[0] == ',') {
      text.remove_prefix(1);
      return part;
    } else {
      part += text[0];
      text.remove_prefix(1);
    }
  }
  return part;
}

}  // namespace

OptionList::OptionList(const Word& argument, std::string_view first) : line_(argument.line) {
  std::string_view text = argument.text;
  if (text.starts_with('{')) {
    read_json(text);
    return;
  }
  bool is_first = true;
  while (!text.empty() && values_.size() < kMostValues) {
    const std::string part = take_part(text);
    const auto equal = part.find('=');
    if (equal != std::string::npos) {
      values_.emplace_back(name_of(part.substr(0, equal)), part.substr(equal + 1));
    } else if (is_first && !first.empty()) {
      values_.emplace_back(first, part);
    } else if (part.starts_with('+') || part.starts_with('-')) {  // features of -cpu
      values_.emplace_back(name_of(part.substr(1)), part[0] == '+' ? "on" : "off");
    } else if (!part.empty()) {
      values_.emplace_back(name_of(part), "on");
    }
    is_first = false;
  }
}

void OptionList::read_json(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object()) {
    flatten(json, "", 0, values_);
  }
}

std::optional<std::string> OptionList::take(std::string_view name, std::string_view other) {
  std::optional<std::string> value;
  for (auto at = values_.begin(); at != values_.end();) {
    if (at->first == name || (!other.empty() && at->first == other)) {
      value = std::move(at->second);  // the last one counts
      at = values_.erase(at);
    } else {
      ++at;
    }
  }
  return value;
}

std::string OptionList::text(std::string_view name, std::string_view other) {
  return take(name, other).value_or("");
}

bool OptionList::is_on(std::string_view name) {
  const auto value = take(name);
  return value && switch_of(*value).value_or(false);
}

void OptionList::skip(std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    take(name);
  }
}

void OptionList::tell_rest(const std::string& what, Notes& notes) const {
  for (const auto& [name, value] : values_) {
    notes.push_back(
        {fmt::format("{} {}={}", what, name, value), line_, std::string(advice::kUnknown)});
  }
}

}  // namespace gpuvm::convert
