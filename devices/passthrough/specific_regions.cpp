// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/specific_regions.hpp"

#include <charconv>
#include <optional>

namespace gpuvm {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
  const bool is_hex = text.starts_with("0x");
  text.remove_prefix(is_hex ? 2 : 0);
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, is_hex ? 16 : 10);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

std::string names_of_memory() {
  std::string names;
  for (const auto& region : kSpecificRegions) {
    if (region.unusable == nullptr) {
      names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", region.name);
    }
  }
  return names;
}

}  // namespace

std::string to_string(RegionType type) {
  const auto* const known = find_specific_region(type);
  return known == nullptr ? fmt::format("{:#x}:{:#x}", type.type, type.subtype)
                          : fmt::format("{} ({})", known->name, known->what);
}

Result<RegionType> parse_memory_region(std::string_view text) {
  std::optional<RegionType> type;
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    const auto first = parse_number(text.substr(0, colon));
    const auto second = parse_number(text.substr(colon + 1));
    if (first && second) {
      type = RegionType{*first, *second};
    }
  }
  for (const auto& region : kSpecificRegions) {
    if (text == region.name) {
      type = region.type;
    }
  }
  if (!type) {
    return fail(ErrorKind::kConfig,
                "coherent_memory.region = \"{}\" is no region's name; give {}, or its numbers as "
                "\"0x800010de:1\"",
                text, names_of_memory());
  }
  if (const auto* const known = find_specific_region(*type);
      known != nullptr && known->unusable != nullptr) {
    return fail(ErrorKind::kConfig, "coherent_memory.region = \"{}\" is no memory, but {}", text,
                known->unusable);
  }
  return *type;
}

}  // namespace gpuvm
