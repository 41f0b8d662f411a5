// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/survey.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "vmm/cards/card_rules.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostFunctionsOfHost = 16384;  // far more than any host has

Bdf slot_of(Bdf bdf) {
  bdf.function = 0;
  return bdf;
}

bool asks(const PciConfig& entry, Askers askers) {
  return !entry.match.empty() || (askers == Askers::kAll && entry.has_host());
}

class Survey {
 public:
  Survey(const HostSystem& host, const Config& config, std::span<const WaitingGuest> ahead)
      : host_(host), config_(config), ahead_(ahead) {}

  Result<std::vector<CardWish>> run(Askers askers) {
    find_named();
    find_devices();
    std::vector<CardWish> wishes;
    for (std::size_t i = 0; i < config_.pci.size(); ++i) {
      const auto& entry = config_.pci[i];
      if (!asks(entry, askers)) {
        continue;
      }
      wishes.push_back({.entry = i, .name = name_of_wish(i)});
      if (entry.match.empty()) {
        wishes.back().cards.push_back(TRY(look_at_named(entry)));
      } else {
        wishes.back().cards = look_for_cards(entry);
      }
    }
    return wishes;
  }

 private:
  /// Functions that sections with host take; what is wrong with one is told where it is taken.
  void find_named() {
    for (const auto& entry : config_.pci) {
      const auto functions = entry.has_host() ? functions_of(host_, entry)
                                              : Result<std::vector<Bdf>>(std::vector<Bdf>());
      if (functions) {
        named_.insert(named_.end(), functions->begin(), functions->end());
      }
    }
  }

  void find_devices() {
    for (const std::string& name : host_.list("/sys/bus/pci/devices")) {
      const auto bdf = Bdf::parse(name);
      auto device = bdf ? HostPciDevice::open(host_, *bdf)
                        : Result<HostPciDevice>(fail(ErrorKind::kHost, "{}", name));
      if (device && !device->is_bridge() && devices_.size() < kMostFunctionsOfHost) {
        devices_.push_back(std::move(device).value());
      }
    }
    std::sort(devices_.begin(), devices_.end(),
              [](const auto& a, const auto& b) { return a.bdf() < b.bdf(); });
  }

  std::string name_of_wish(std::size_t index) const {
    const auto& entry = config_.pci[index];
    const auto place = entry.place.or_else(fmt::format("pci.{}", index));
    std::vector<std::string> patterns;
    for (const auto& pattern : entry.match) {
      patterns.push_back(pattern.to_string());
    }
    return patterns.empty() ? fmt::format("{}, host = {}", place, entry.host.to_string())
                            : fmt::format("{}, match = {}", place, fmt::join(patterns, " or "));
  }

  /// Virtual functions are cards of their own.
  static Bdf identity_of(const HostPciDevice& device) {
    return device.physical_function() ? device.bdf() : slot_of(device.bdf());
  }

  CardCandidate candidate_of(const PciConfig& entry, const Bdf& card) const {
    return {.host = host_,
            .section = with_card(entry, card),
            .is_named = entry.match.empty(),
            .identity = slot_of(card),
            .functions = {card},
            .other = named_,
            .ahead = ahead_};
  }

  static CardFact fact_of(const CardCandidate& candidate,
                          const std::optional<CardRefusal>& refusal) {
    CardFact fact{.card = candidate.section.host,
                  .identity = candidate.identity,
                  .functions = candidate.functions};
    if (refusal) {
      fact.state = refusal->state;
      fact.reason = reason_text(candidate, refusal->error);
    }
    return fact;
  }

  Result<CardFact> look_at_named(const PciConfig& entry) const {
    auto candidate = candidate_of(entry, entry.host);
    const auto device = HostPciDevice::open(host_, entry.host);
    if (device) {
      candidate.identity = identity_of(*device);
      candidate.functions = TRY_CONTEXT(functions_of(host_, candidate.section), entry.place.text);
    }
    // Absent ones, too: the owner may be looking for it anew.
    auto refusal = look_for_refusal(candidate);
    if (refusal && refusal->state == CardState::kUnfit) {
      return std::move(refusal->error);
    }
    return fact_of(candidate, refusal);
  }

  static bool fits(const PciConfig& entry, const HostPciDevice& device) {
    const auto& ids = device.ids();
    const auto& list = entry.functions;
    return (list.empty() ||
            std::find(list.begin(), list.end(), device.bdf().function) != list.end()) &&
           std::any_of(entry.match.begin(), entry.match.end(), [&ids](const CardPattern& pattern) {
             return pattern.matches(ids.vendor, ids.device, ids.class_code);
           });
  }

  std::vector<CardFact> look_for_cards(const PciConfig& entry) const {
    std::vector<CardFact> cards;
    std::set<Bdf> seen;
    for (const HostPciDevice& device : devices_) {
      // Of a slot the first function that matches stands for it.
      if (!fits(entry, device) || !seen.insert(identity_of(device)).second) {
        continue;
      }
      auto candidate = candidate_of(entry, device.bdf());
      candidate.identity = identity_of(device);
      auto functions = functions_of(host_, candidate.section);
      if (functions) {
        candidate.functions = std::move(functions).value();
        cards.push_back(fact_of(candidate, look_for_refusal(candidate)));
      } else {
        cards.push_back({.card = device.bdf(),
                         .identity = candidate.identity,
                         .functions = {},
                         .state = CardState::kUnfit,
                         .reason = reason_text(candidate, functions.error())});
      }
    }
    add_absent(cards, seen);
    return cards;
  }

  /// A repair by removal and rescan takes a function out of sysfs for seconds; which one it is then
  /// nobody can tell.
  void add_absent(std::vector<CardFact>& cards, std::set<Bdf>& seen) const {
    for (const Bdf& bdf : recorded_devices(host_)) {
      const auto owner =
          host_.exists(pci_sysfs_path(bdf)) ? std::nullopt : current_owner(host_, bdf);
      if (owner && seen.insert(slot_of(bdf)).second) {
        cards.push_back({.card = bdf,
                         .identity = slot_of(bdf),
                         .functions = {bdf},
                         .state = CardState::kBusy,
                         .reason = fmt::format("not there just now, and taken by gpuvm {} ({})",
                                               owner->pid, owner->owner)});
      }
    }
  }

  const HostSystem& host_;
  const Config& config_;
  std::span<const WaitingGuest> ahead_;
  std::vector<Bdf> named_;
  std::vector<HostPciDevice> devices_;
};

}  // namespace

PciConfig with_card(const PciConfig& entry, const Bdf& card) {
  PciConfig section = entry;
  section.host = card;
  section.match.clear();
  return section;
}

bool asks_for_cards(const Config& config, Askers askers) {
  return std::any_of(config.pci.begin(), config.pci.end(),
                     [askers](const PciConfig& entry) { return asks(entry, askers); });
}

Result<std::vector<CardWish>> survey_cards(const HostSystem& host, const Config& config,
                                           Askers askers, std::span<const WaitingGuest> ahead) {
  TRY(check_iommu(host));
  return Survey(host, config, ahead).run(askers);
}

}  // namespace gpuvm
