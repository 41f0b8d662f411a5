// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/card_rules.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/bytes.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {
namespace {

using MaybeRefusal = std::optional<CardRefusal>;

/// What the host says no to may end by itself; what does not fit does not.
MaybeRefusal refusal_of(Status outcome) {
  if (outcome) {
    return std::nullopt;
  }
  const auto state =
      outcome.error().kind() == ErrorKind::kHost ? CardState::kBusy : CardState::kUnfit;
  return CardRefusal{state, std::move(outcome).error()};
}

MaybeRefusal as_own(const CardCandidate& candidate) {
  const auto is_other = [&candidate](const Bdf& bdf) {
    return std::find(candidate.other.begin(), candidate.other.end(), bdf) != candidate.other.end();
  };
  if (candidate.is_named ||
      std::none_of(candidate.functions.begin(), candidate.functions.end(), is_other)) {
    return std::nullopt;
  }
  return CardRefusal{CardState::kUnfit,
                     fail(ErrorKind::kConfig, "named by another section of this configuration")};
}

MaybeRefusal as_taken(const CardCandidate& candidate) {
  for (const Bdf& bdf : candidate.functions) {
    if (const auto owner = current_owner(candidate.host, bdf)) {
      return CardRefusal{CardState::kBusy, fail(ErrorKind::kHost, "taken by gpuvm {} ({})",
                                                owner->pid, owner->owner)};
    }
  }
  return std::nullopt;
}

MaybeRefusal as_awaited(const CardCandidate& candidate) {
  for (const WaitingGuest& guest : candidate.ahead) {
    if (guest.is_after(candidate.identity)) {
      return CardRefusal{CardState::kBusy,
                         fail(ErrorKind::kHost, "awaited by {}, which came first", guest.name())};
    }
  }
  return std::nullopt;
}

/// A start would try to repair it; a guest that may have another card is better off with that.
MaybeRefusal as_broken(const CardCandidate& candidate) {
  for (const Bdf& bdf : candidate.functions) {
    const auto record = read_device_record(candidate.host, bdf);
    if (!candidate.is_named && record && !record->dirty.empty() &&
        record->cause == DirtCause::kFailedReset) {
      return CardRefusal{
          CardState::kUnfit,
          fail(ErrorKind::kUnsafeDevice, "its last reset failed ({}): `gpuvm reset {}` tries again",
               record->dirty, bdf.to_string())};
    }
  }
  return std::nullopt;
}

/// PCI Express Base 6.0, 2.3.2: what does not answer reads as all ones. Of a virtual function the
/// ids read so in any case (Single Root I/O Virtualization 1.1, 3.4.1.1).
MaybeRefusal as_gone(const CardCandidate& candidate) {
  for (const Bdf& bdf : candidate.functions) {
    const auto config = candidate.host.read_bytes(pci_sysfs_path(bdf, "config"), 4);
    const bool is_virtual = candidate.host.exists(pci_sysfs_path(bdf, "physfn"));
    if (config && load_at<std::uint32_t>(*config, 0) == 0xffffffff && !is_virtual) {
      return CardRefusal{CardState::kUnfit,
                         fail(ErrorKind::kUnsafeDevice,
                              "{} does not answer (its configuration space reads as all ones): "
                              "`gpuvm reset {}`",
                              bdf.to_string(), bdf.to_string())};
    }
  }
  return std::nullopt;
}

MaybeRefusal as_screen(const CardCandidate& candidate) {
  const auto& card = candidate.section.host;
  const auto device = HostPciDevice::open(candidate.host, card);
  if (candidate.is_named || !device || !device->is_boot_vga() ||
      is_with_vfio(candidate.host, card)) {
    return std::nullopt;
  }
  return CardRefusal{CardState::kUnfit,
                     fail(ErrorKind::kConfig,
                          "the screen that the host started with (boot_vga), which match leaves to "
                          "it: name it as host, or bind it to vfio-pci")};
}

/// The section's other keys must fit the card, and what the start checks must be well.
Status check_fit(const CardCandidate& candidate) {
  const auto resolved = TRY(resolve_functions(candidate.host, {candidate.section}));
  std::vector<Bdf> ours(candidate.other.begin(), candidate.other.end());
  ours.insert(ours.end(), candidate.functions.begin(), candidate.functions.end());
  for (const HostFunction& function : resolved) {
    TRY(check_open_is_safe(candidate.host, function.host, function.reset.method));
    TRY(check_device(candidate.host, function.host, candidate.section.managed));
    TRY(check_group(candidate.host, function.host, ours));
    TRY(check_group_free(candidate.host, function.host));
  }
  return {};
}

MaybeRefusal as_unfit_or_used(const CardCandidate& candidate) {
  return refusal_of(check_fit(candidate));
}

constexpr std::array<MaybeRefusal (*)(const CardCandidate&), 7> kCardRules{
    as_own, as_taken, as_awaited, as_broken, as_screen, as_gone, as_unfit_or_used};

}  // namespace

std::optional<CardRefusal> look_for_refusal(const CardCandidate& candidate) {
  for (const auto rule : kCardRules) {
    if (auto refusal = rule(candidate)) {
      return refusal;
    }
  }
  return std::nullopt;
}

std::string reason_text(const CardCandidate& candidate, const Error& error) {
  std::string text = error.to_string();
  const std::string place = fmt::format("{}: ", candidate.section.place.text);
  const std::string card = fmt::format("{} is ", candidate.section.host.to_string());
  for (const std::string& front : {place, card}) {
    if (front.size() > 2 && text.starts_with(front)) {
      text.erase(0, front.size());
    }
  }
  return text;
}

}  // namespace gpuvm
