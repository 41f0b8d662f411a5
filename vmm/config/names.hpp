// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the words that stand for enumeration values, in the enumerations' order.
#pragma once

#include <array>
#include <string_view>

namespace gpuvm::config {

inline constexpr std::array<std::string_view, 3> kHugePagesNames = {"off", "2MiB", "1GiB"};
inline constexpr std::array<std::string_view, 2> kRebootActionNames = {"reset", "exit"};
inline constexpr std::array<std::string_view, 3> kConfigPortsNames = {"auto", "on", "off"};
inline constexpr std::array<std::string_view, 3> kBootModeNames = {"linux", "efi-handover", "uefi"};

inline constexpr std::array<std::string_view, 4> kResetChoiceNames = {"auto", "hot", "function",
                                                                      "none"};
inline constexpr std::array<std::string_view, 3> kAcpiRomNames = {"auto", "on", "off"};
inline constexpr std::array<std::string_view, 8> kMsixRelocationNames = {
    "off", "auto", "bar0", "bar1", "bar2", "bar3", "bar4", "bar5"};
inline constexpr std::array<std::string_view, 2> kRomCheckNames = {"correct", "strict"};

/// The word for an enumeration value.
template <std::size_t N, class Enum>
constexpr std::string_view name_of(const std::array<std::string_view, N>& names, Enum value) {
  return names.at(static_cast<std::size_t>(value));
}

}  // namespace gpuvm::config
