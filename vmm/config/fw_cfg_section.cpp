// SPDX-License-Identifier: Apache-2.0
// [[fw_cfg]]: items that the guest's UEFI firmware, and tools in the guest, can read. The names
// outside of opt/ belong to the machine.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostFiles = 32;
constexpr std::size_t kLongestName = 55;  ///< the device's directory has room for no more
constexpr std::string_view kPrefix = "opt/";
constexpr std::string_view kString = "string:";
constexpr std::string_view kFile = "file:";

bool is_item_name(std::string_view name) {
  const auto is_allowed = [](char c) { return c > ' ' && c <= '~'; };
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

constexpr std::string_view kNameRule =
    "\"opt/\" and up to 51 characters without spaces, for instance \"opt/org.example/key\"";
constexpr std::string_view kValueRule = "\"string:TEXT\" or \"file:PATH\"";

Status read_value(const TableReader& entry, std::string_view value, FwCfgConfig& item) {
  if (value.starts_with(kString)) {
    item.text = value.substr(kString.size());
  } else if (value.starts_with(kFile) && value.size() > kFile.size()) {
    TRY(entry.check_path("value", value.substr(kFile.size())));
    item.file = resolve_path(entry.directory(), value.substr(kFile.size()));
  } else {
    return entry.must_be("value", kValueRule, '"' + printable(value) + '"');
  }
  return {};
}

Result<FwCfgConfig> read_fw_cfg(TableReader entry) {
  FwCfgConfig item;
  const auto name = TRY(entry.optional_string("name", kNameRule));
  const auto value = TRY(entry.optional_string("value", kValueRule));
  TRY(entry.finish());
  if (!name) {
    return entry.wrong("name", fmt::format("is missing: give {}", kNameRule));
  }
  if (!is_item_name(*name)) {
    return entry.must_be("name", kNameRule, '"' + printable(*name) + '"');
  }
  if (!value) {
    return entry.wrong("value", fmt::format("is missing: give {}", kValueRule));
  }
  item.name = *name;
  TRY(read_value(entry, *value, item));
  return item;
}

}  // namespace

Result<std::vector<FwCfgConfig>> read_fw_cfg(const std::vector<TableReader>& entries) {
  std::vector<FwCfgConfig> all;
  for (const auto& entry : entries) {
    if (all.size() == kMostFiles) {
      return entry.wrong("name",
                         fmt::format("is one item too many: there is room for {}", kMostFiles));
    }
    auto item = TRY(read_fw_cfg(entry));
    const auto same = [&item](const FwCfgConfig& other) { return other.name == item.name; };
    if (std::any_of(all.begin(), all.end(), same)) {
      return entry.wrong("name", fmt::format("\"{}\" is there already", item.name));
    }
    all.push_back(std::move(item));
  }
  return all;
}

}  // namespace gpuvm::config
