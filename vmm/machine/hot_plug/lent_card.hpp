// SPDX-License-Identifier: Apache-2.0
// LentCard: a card that the owner's process takes for a monitor that has no right to, and gives
// back (docs/hotplug.md): its functions come as open files. What concerns the guest is HostCard's.
#pragma once

#include <cstdint>

#include "vmm/machine/hot_plug/host_card.hpp"

namespace gpuvm {

class LentCard final : public HostCard {
 public:
  /// `functions`: those of machine.attachable[number], with their port; `machine` has a lender.
  LentCard(const HotPlugMachine& machine, std::uint8_t port, std::string name,
           std::vector<HostFunction> functions, std::uint32_t number)
      : HostCard(machine, port, std::move(name), std::move(functions)), number_(number) {}

  /// Also reset and verified, by the owner.
  Status take() override;
  /// How it looks now, for the resets of this process. Errors: also kUnsafeDevice: it does not
  /// answer.
  Status verify() override { return machine_reset().plan(); }
  /// Errors: what came of the owner's last reset.
  Status leave() override;

 private:
  Status give_back();

  const std::uint32_t number_;
};

}  // namespace gpuvm
