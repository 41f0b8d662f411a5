// SPDX-License-Identifier: Apache-2.0
#include "vmm/fleet/host_look.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "vmm/host/device_claim.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostCards = 8192;

HostCard look_at_card(const HostSystem& host, const Bdf& function) {
  HostCard card;
  card.function = function;
  card.resets = read_reset_history(host, function).value_or(ResetHistory{});
  const auto record = read_device_record(host, function);
  if (!record) {
    return card;
  }
  if (const auto owner = current_owner(host, function)) {
    card.state = CardState::kUsed;
    card.owner = owner->owner;
    card.pid = owner->pid;
  } else if (!record->dirty.empty()) {
    const bool has_failed = record->cause == DirtCause::kFailedReset;
    card.state = has_failed ? CardState::kFailed : CardState::kDirty;
    card.owner = record->owner;
    card.text = record->dirty;
  }
  return card;
}

}  // namespace

std::string_view to_string(CardState state) {
  switch (state) {
    case CardState::kFree:
      return "free";
    case CardState::kUsed:
      return "used";
    case CardState::kDirty:
      return "dirty";
    case CardState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::vector<HostCard> look_at_cards(const HostSystem& host) {
  std::vector<Bdf> functions = recorded_devices(host);
  const auto more = cards_with_history(host);
  functions.insert(functions.end(), more.begin(), more.end());
  std::sort(functions.begin(), functions.end());
  functions.erase(std::unique(functions.begin(), functions.end()), functions.end());
  functions.resize(std::min(functions.size(), kMostCards));
  std::vector<HostCard> cards;
  cards.reserve(functions.size());
  for (const Bdf& function : functions) {
    cards.push_back(look_at_card(host, function));
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
