// SPDX-License-Identifier: Apache-2.0
// What messages show of a document: text and places; and paths as they are written there.
#include <algorithm>
#include <filesystem>

#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kLongestShown = 80;
constexpr std::string_view kOverridePrefix = "--set ";

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// The first value below a container that knows its place: containers that --set made do not.
std::string place_of_first_child(const toml::node& node) {
  if (const auto* table = node.as_table(); table != nullptr && !table->empty()) {
    return place_of(table->begin()->second);
  }
  if (const auto* array = node.as_array(); array != nullptr && !array->empty()) {
    return place_of(*array->get(0));
  }
  return {};
}

}  // namespace

std::string printable(std::string_view text) {
  const bool is_long = text.size() > kLongestShown;
  return one_line(text.substr(0, kLongestShown)) + (is_long ? "..." : "");
}

std::string one_line(std::string_view text) {
  std::string shown(text);
  std::replace_if(shown.begin(), shown.end(), is_control, '?');
  return shown;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

std::string place_of(const toml::source_region& source) {
  if (source.begin.line == 0 || !source.path) {
    return {};
  }
  if (source.path->starts_with(kOverridePrefix)) {
    return fmt::format(" ({})", printable(*source.path));
  }
  return fmt::format(" ({}:{}:{})", *source.path, source.begin.line, source.begin.column);
}

std::string place_of(const toml::node& node) {
  const auto place = place_of(node.source());
  return place.empty() ? place_of_first_child(node) : place;
}

std::string resolve_path(const std::string& directory, std::string_view path) {
  if (path.starts_with('/') || directory.empty()) {
    return std::string(path);
  }
  return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", path);
}

std::string trouble_with_path(std::string_view path) {
  // "~x" is a file of that name; "~/x" and "~me/x" are what a shell makes a home folder's.
  if (path == "~" || (path.starts_with('~') && path.find('/') != std::string_view::npos)) {
    return "begins with \"~\", which only a shell makes a home folder: write it out, as "
           "/home/me/… (\"./~/…\" is a folder of that name)";
  }
  if (path.starts_with('$')) {
    return "begins with \"$\", and nothing is put in for variables here: write it out (\"./$…\" is "
           "a file of that name)";
  }
  return {};
}

bool is_same_path(std::string_view one, std::string_view other) {
  return std::filesystem::path(one).lexically_normal() ==
         std::filesystem::path(other).lexically_normal();
}

}  // namespace gpuvm::config
