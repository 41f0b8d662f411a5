// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/attachable_cards.hpp"

#include <fmt/format.h>

#include <string>

#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {
namespace {

/// As find_attachable() (vmm/machine/hot_plug) has them.
Result<std::vector<HostFunction>> functions_of_card(const HostSystem& host, const Bdf& card) {
  PciConfig entry;
  entry.host = card;
  return TRY_CONTEXT(resolve_functions(host, {entry}), "machine.attachable");
}

/// What an attach looks at before it touches the card.
Status could_come(const HostSystem& host, const std::vector<HostFunction>& functions) {
  HostNeeds needs;
  for (const HostFunction& function : functions) {
    needs.devices.push_back(function.host);
  }
  return require_host(host, needs);
}

}  // namespace

std::vector<Finding> check_attachable(const HostSystem& host, const MachineConfig& machine) {
  std::vector<Finding> findings;
  for (const Bdf& card : machine.attachable) {
    const auto functions = functions_of_card(host, card);
    Finding finding{.check = std::string(kAttachableCheck),
                    .outcome = functions ? Status() : Status(functions.error()),
                    .of = card.to_string()};
    if (functions) {
      if (const Status now = could_come(host, *functions); !now) {
        finding.note = "it could not be attached now: " + now.error().to_string();
      }
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

void describe_attachable(const HostSystem& host, const MachineConfig& machine, InspectNode& node) {
  for (const Bdf& card : machine.attachable) {
    const auto functions = functions_of_card(host, card);
    std::string text = functions ? "" : functions.error().to_string();
    if (functions) {
      for (const HostFunction& function : *functions) {
        text += (text.empty() ? "" : ", ") + function.name();
      }
    }
    node.field(card.to_string(), text);
  }
}

}  // namespace gpuvm
