// SPDX-License-Identifier: Apache-2.0
#include "vmm/fleet/host_look.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "vmm/host/device_claim.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostCards = 8192;

/// The process that has locked the file with flock(2), by its number in our namespace of processes;
/// nothing: none has. In /proc/locks (proc(5)): "1: FLOCK  ADVISORY  WRITE 4008 00:19:1802306 0
/// EOF".
std::optional<long> lock_holder(const std::string& locks, const std::string& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) {
    return std::nullopt;
  }
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", ::major(info.st_dev),
                                         ::minor(info.st_dev), std::uint64_t{info.st_ino});
  std::istringstream lines(locks);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number;
    std::string kind;
    std::string mode;
    std::string access;
    long pid = 0;
    std::string place;
    // One that waits for a lock has "->" in place of its kind.
    if (words >> number >> kind >> mode >> access >> pid >> place && kind == "FLOCK" &&
        place == wanted) {
      return pid;
    }
  }
  return std::nullopt;
}

/// Who has it by its lock, which tells of owners in containers too, or by the files that the
/// process of the record has open.
std::optional<long> owner_process(const HostSystem& host, const Bdf& function,
                                  const std::string& locks) {
  const std::string file = host.path(StateFile::path(function, kClaimSuffix));
  if (const auto holder = lock_holder(locks, file)) {
    return *holder;
  }
  const auto owner = current_owner(host, function);
  return owner ? std::optional(owner->pid) : std::nullopt;
}

FleetCard look_at_card(const HostSystem& host, const Bdf& function, const std::string& locks) {
  FleetCard card;
  card.function = function;
  card.resets = read_reset_history(host, function).value_or(ResetHistory{});
  const auto record = read_device_record(host, function);
  if (!record) {
    return card;
  }
  if (const auto process = owner_process(host, function, locks)) {
    card.state = FleetCardState::kUsed;
    card.owner = record->owner;
    card.pid = std::max(*process, 0L);
  } else if (!record->dirty.empty()) {
    const bool has_failed = record->cause == DirtCause::kFailedReset;
    card.state = has_failed ? FleetCardState::kFailed : FleetCardState::kDirty;
    card.owner = record->owner;
    card.text = record->dirty;
  }
  return card;
}

}  // namespace

std::string_view to_string(FleetCardState state) {
  switch (state) {
    case FleetCardState::kFree:
      return "free";
    case FleetCardState::kUsed:
      return "used";
    case FleetCardState::kDirty:
      return "dirty";
    case FleetCardState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::vector<FleetCard> look_at_cards(const HostSystem& host) {
  std::vector<Bdf> functions = recorded_devices(host);
  const auto more = cards_with_history(host);
  functions.insert(functions.end(), more.begin(), more.end());
  std::sort(functions.begin(), functions.end());
  functions.erase(std::unique(functions.begin(), functions.end()), functions.end());
  functions.resize(std::min(functions.size(), kMostCards));
  auto read = host.read("/proc/locks");
  const std::string locks = read ? std::move(read).value() : std::string();
  std::vector<FleetCard> cards;
  cards.reserve(functions.size());
  for (const Bdf& function : functions) {
    cards.push_back(look_at_card(host, function, locks));
  }
  return cards;
}

std::string boot_id_of(const HostSystem& host) {
  auto id = host.read("/proc/sys/kernel/random/boot_id");
  return id ? std::move(id).value() : std::string();
}

std::string host_name() {
  constexpr std::size_t kLongest = 256;
  std::array<char, kLongest> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name.front() != '\0' ? name.data()
                                                                                  : "?";
}

}  // namespace gpuvm
