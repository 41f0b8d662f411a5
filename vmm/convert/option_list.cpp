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
constexpr auto kReplaceBadText = nlohmann::json::error_handler_t::replace;

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
         : value.is_structured()     ? "…"  // too deep; printing it could be endless
                                     : value.dump(-1, ' ', false, kReplaceBadText);
}

/// "file.filename" for what lies deeper, and the same name again for each item of a list.
void flatten(const nlohmann::json& value, const std::string& name, unsigned depth,
             std::vector<std::pair<std::string, std::string>>& values) {
  if (values.size() >= kMostValues) {
    return;
  }
  if (value.is_array() && !value.empty() && depth < kMostJsonDepth) {
    for (const auto& item : value) {
      flatten(item, name, depth + 1, values);
    }
  } else if (value.is_structured() && value.empty()) {
    values.emplace_back(name, "{}");
  } else if (value.is_object() && depth < kMostJsonDepth) {
    for (const auto& [key, item] : value.items()) {
      flatten(item, name.empty() ? name_of(key) : name + '.' + name_of(key), depth + 1, values);
    }
  } else {
    values.emplace_back(name, value_of(value));
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

bool is_place(std::string_view name) {
  static constexpr std::string_view kPlaces[] = {
      "id",      "addr",       "bus", "multifunction", "slot",  "chassis", "chassis-nr",
      "port",    "unit",       "lun", "scsi-id",       "index", "channel", "device-id",
      "hotplug", "acpi-index", "nr",  "node-name",     "nodeid"};
  return std::find(std::begin(kPlaces), std::end(kPlaces), name) != std::end(kPlaces);
}

OptionList::OptionList(const Word& argument, std::string_view first)
    : line_(argument.line), argument_(argument.text) {
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
  if (!text.empty()) {
    told_.push_back({std::string(text), line_, "these are too many for one option"});
  }
}

void OptionList::read_json(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object()) {
    flatten(json, "", 0, values_);
  }
  if (!json.is_object() || values_.size() >= kMostValues) {
    told_.push_back({argument_, line_,
                     "this is no JSON that can be read (ps prints it without its quotes): write it "
                     "as QEMU was given it"});
  }
}

bool OptionList::has(std::string_view name) const {
  return std::any_of(values_.begin(), values_.end(),
                     [&](const auto& value) { return value.first == name; });
}

std::optional<std::string> OptionList::take(std::string_view name, std::string_view other) {
  std::optional<std::string> value;
  for (auto at = values_.begin(); at != values_.end();) {
    if (at->first == name || (!other.empty() && at->first == other)) {
      if (value && *value != at->second) {
        told_.push_back({fmt::format("{}={}", name, *value), line_,
                         "it is there more than once: the last one counts"});
      }
      value = std::move(at->second);
      at = values_.erase(at);
    } else {
      ++at;
    }
  }
  return value;
}

std::vector<std::string> OptionList::take_all(std::string_view name) {
  std::vector<std::string> all;
  for (auto at = values_.begin(); at != values_.end();) {
    if (at->first == name) {
      all.push_back(std::move(at->second));
      at = values_.erase(at);
    } else {
      ++at;
    }
  }
  return all;
}

std::string OptionList::text(std::string_view name, std::string_view other) {
  return take(name, other).value_or("");
}

bool OptionList::is_on(std::string_view name) {
  const auto value = take(name);
  const auto state = value ? switch_of(*value) : std::optional(false);
  if (!state) {
    told_.push_back(
        {fmt::format("{}={}", name, *value), line_, std::string(advice::kUnknownValue)});
  }
  return state.value_or(false);
}

std::optional<std::uint64_t> OptionList::number(std::string_view name, std::string_view other) {
  const auto value = take(name, other);
  const auto number = value ? number_of(*value) : std::nullopt;
  if (value && !number) {
    told_.push_back(
        {fmt::format("{}={}", name, *value), line_, std::string(advice::kUnknownValue)});
  }
  return number;
}

std::optional<std::uint64_t> OptionList::size(std::string_view name, unsigned shift) {
  const auto value = take(name);
  const auto bytes = value ? qemu_size(*value, shift) : std::nullopt;
  if (value && !bytes) {
    told_.push_back(
        {fmt::format("{}={}", name, *value), line_, std::string(advice::kUnknownValue)});
  }
  return bytes;
}

void OptionList::drop_places() {
  std::erase_if(values_, [](const auto& value) { return is_place(value.first); });
}

void OptionList::needs_no_key(const std::string& what, ForeignGuest& guest,
                              std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    if (const auto value = take(name)) {
      guest.needs_no_key(fmt::format("{} {}={}", what, name, *value));
    }
  }
}

void OptionList::rest_needs_no_key(const std::string& what, ForeignGuest& guest) {
  for (const auto& [name, value] : values_) {
    guest.needs_no_key(fmt::format("{} {}={}", what, name, value));
  }
  values_.clear();
}

void OptionList::tell_rest(const std::string& what, Notes& notes) const {
  for (const auto& [name, value] : values_) {
    notes.push_back(
        {fmt::format("{} {}={}", what, name, value), line_, std::string(advice::kUnknown)});
  }
  for (const auto& note : told_) {
    notes.push_back({fmt::format("{} {}", what, note.what), note.line, note.advice});
  }
}

}  // namespace gpuvm::convert
