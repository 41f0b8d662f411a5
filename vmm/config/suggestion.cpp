// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "vmm/base/text.hpp"
#include "vmm/config/config.hpp"
#include "vmm/config/foreign_names.hpp"

namespace gpuvm::config {
namespace {

/// As names are compared: case and the kind of dash are matters of habit.
std::string plain_name(std::string_view name) {
  constexpr std::size_t kLongest = 64;  // as edit_distance() has it
  std::string plain(name.substr(0, kLongest));
  for (char& c : plain) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    } else if (c == '-') {
      c = '_';
    }
  }
  return plain;
}

/// A key as a user who is in this section has to write it.
std::string shown_key(std::string_view section, std::string_view key) {
  const auto dot = key.rfind('.');
  if (key.starts_with('[')) {
    return std::string(key);
  }
  if (dot == std::string_view::npos) {
    return section.empty() ? std::string(key) : fmt::format("{}, above all sections", key);
  }
  return std::string(key.substr(0, dot) == section ? key.substr(dot + 1) : key);
}

std::string question(std::string_view section, const std::vector<std::string_view>& keys) {
  std::string text;
  for (const auto key : keys) {
    text += (text.empty() ? "" : " or ") + shown_key(section, key);
  }
  return text.empty() ? text : fmt::format("; did you mean {}?", text);
}

/// What the tables have on a name; `where` is the section or kAnySection.
std::string from_tables(std::string_view section, std::string_view where, std::string_view name) {
  std::vector<std::string_view> keys;
  for (const auto& row : foreign_names()) {
    if (row.section == where && row.name == name) {
      keys.push_back(row.key);
    }
  }
  for (const auto& row : foreign_things()) {
    if (row.section == where && row.name == name) {
      return fmt::format("; {}", row.advice);
    }
  }
  return question(section, keys);
}

/// Keys of this name: in the section itself, where it was spelt otherwise, or else in others.
std::string from_elsewhere(std::string_view section, std::string_view name) {
  const auto all = config_keys();
  std::vector<std::string_view> keys;
  for (const std::string_view key : all) {
    if (key.substr(key.rfind('.') + 1) == name) {  // npos + 1 is 0: the whole key
      keys.push_back(key);
      if (key == fmt::format("{}.{}", section, name)) {
        return question(section, {key});
      }
    }
  }
  return question(section, keys);
}

/// A third of the letters may be wrong, or two neighbours be exchanged.
bool is_near(std::string_view wanted, std::string_view known) {
  const auto tolerance = std::clamp<std::size_t>(wanted.size() / 3, 1, 3);
  const auto distance = edit_distance(wanted, known);
  return distance <= tolerance ||
         (distance == 2 && wanted.size() == known.size() &&
          std::is_permutation(wanted.begin(), wanted.end(), known.begin()));
}

}  // namespace

std::string KnownName::shown() const {
  switch (kind) {
    case Kind::kValue:
      break;
    case Kind::kTable:
      return fmt::format("[{}]", name);
    case Kind::kList:
      return fmt::format("[[{}]]", name);
  }
  return std::string(name);
}

std::string suggestion(std::string_view section, std::string_view name,
                       std::span<const KnownName> known) {
  const auto wanted = plain_name(name);
  for (const auto where : {section, kAnySection}) {
    auto found = from_tables(section, where, wanted);
    if (!found.empty()) {
      return found;
    }
  }
  auto found = from_elsewhere(section, wanted);
  if (!found.empty()) {
    return found;
  }
  std::vector<std::string_view> names(known.size());
  std::transform(known.begin(), known.end(), names.begin(),
                 [](const KnownName& each) { return each.name; });
  const auto nearest = nearest_name(wanted, names);
  if (nearest.empty() || !is_near(wanted, nearest)) {
    return {};
  }
  const auto found_at = std::find(names.begin(), names.end(), nearest) - names.begin();
  return fmt::format("; did you mean {}?", known[static_cast<std::size_t>(found_at)].shown());
}

}  // namespace gpuvm::config
