// SPDX-License-Identifier: Apache-2.0
// [control]: where the guest's control socket is, and who may use it.
#include <algorithm>
#include <filesystem>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::string_view kSocketRule = "\"auto\", \"off\" or the path of a Unix socket";
constexpr std::string_view kGroupRule = "the name of a group of the host";
constexpr std::size_t kLongestGroup = 256;

/// groupadd(8) is stricter; directories (LDAP, AD) have spaces and capitals. In group(5) a colon
/// and a comma end a name.
bool is_group_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestGroup &&
         name.find_first_of(":,/") == std::string_view::npos;
}

/// What is meant where a word stands in the place of a path; "": it is a path.
std::string_view socket_advice(std::string_view text) {
  if (text.starts_with('@')) {
    return "; anybody could connect to an abstract socket: name a path, such as "
           "\"/run/gpuvm/main.sock\"";
  }
  if (text.starts_with("unix:")) {
    return "; write the path alone, without \"unix:\"";
  }
  if (text.find_first_of("/.") != std::string_view::npos) {
    return {};
  }
  for (const std::string_view word : {"on", "true", "yes", "default"}) {
    if (text == word) {
      return "; \"auto\" is what you may mean, and needs not be written";
    }
  }
  for (const std::string_view word : {"false", "no", "none", "disabled"}) {
    if (text == word) {
      return "; \"off\" is what you may mean";
    }
  }
  return "; a file of this name beside the configuration would be \"./NAME\"";
}

Status read_socket(TableReader& table, ControlConfig& control) {
  const auto text = TRY(table.optional_string("socket", kSocketRule));
  if (!text || *text == "auto") {
    return {};
  }
  if (*text == "off") {
    control.socket = ControlConfig::Socket::kOff;
    return {};
  }
  if (text->empty()) {
    return table.must_be("socket", kSocketRule, "\"\"");
  }
  if (const auto advice = socket_advice(*text); !advice.empty()) {
    return table.must_be("socket", kSocketRule, '"' + printable(*text) + '"', advice);
  }
  control.path =
      std::filesystem::path(TRY(table.optional_path("socket")).value_or("")).lexically_normal();
  control.socket = ControlConfig::Socket::kPath;
  return check_socket_path(table, "socket", control.path);
}

}  // namespace

Result<ControlConfig> read_control(TableReader table) {
  ControlConfig control;
  TRY(read_socket(table, control));
  control.group = TRY(table.optional_string("group", kGroupRule)).value_or("");
  if (table.has("group") && !is_group_name(control.group)) {
    return table.must_be("group", kGroupRule, '"' + printable(control.group) + '"');
  }
  TRY(table.finish());
  if (!control.group.empty() && control.socket == ControlConfig::Socket::kOff) {
    return table.wrong("group", "is for a control socket, and control.socket is \"off\"");
  }
  return control;
}

}  // namespace gpuvm::config
