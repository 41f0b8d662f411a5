// SPDX-License-Identifier: Apache-2.0
// Guests that gpuvm cannot run, as far as their names and files tell.
#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/readers.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

/// "win" with a version behind it and no letter before it: "win10", not "darwin10".
bool names_windows_version(std::string_view name) {
  static constexpr std::string_view kVersions[] = {"7",    "8",    "10",   "11",   "xp",   "2k",
                                                   "2012", "2016", "2019", "2022", "2025", "-10",
                                                   "-11",  "_10",  "_11",  " 10",  " 11"};
  for (auto at = name.find("win"); at != std::string_view::npos; at = name.find("win", at + 1)) {
    const bool is_start = at == 0 || name[at - 1] < 'a' || name[at - 1] > 'z';
    const auto rest = name.substr(at + 3);
    if (is_start && std::any_of(std::begin(kVersions), std::end(kVersions),
                                [&](std::string_view one) { return rest.starts_with(one); })) {
      return true;
    }
  }
  return false;
}

bool has_one_of(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

/// Why a guest of this name, or with a file of it, cannot be run; "" where nothing tells.
std::string_view hindrance_in(std::string_view text) {
  const std::string name = lower(text.substr(text.rfind('/') + 1));
  if (has_one_of(name, {"virtio-win", "windows"}) || names_windows_version(name)) {
    return advice::kOnlyLinux;
  }
  return has_one_of(name, {"opencore", "macos", "mac_hdd", "basesystem.", "mac os"})
             ? advice::kNoApple
             : std::string_view();
}

}  // namespace

void find_hindrances(ForeignGuest& guest) {
  const auto look_at = [&](const std::string& text, std::size_t line) {
    const auto why = hindrance_in(text);
    const bool is_known = std::any_of(guest.hindrances.begin(), guest.hindrances.end(),
                                      [&](const Note& note) { return note.advice == why; });
    if (!why.empty() && !is_known) {
      guest.hinder(text, line, why);
    }
  };
  look_at(guest.name, 0);
  for (const auto& disk : guest.disks) {
    look_at(disk.path, disk.line);
  }
}

}  // namespace gpuvm::convert
