// SPDX-License-Identifier: Apache-2.0
// HotPlug: the hot-plug slots of a machine: which one a card gets, and which has it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/machine/hot_plug/host_card.hpp"
#include "vmm/machine/hot_plug/hot_slot.hpp"

namespace gpuvm {

/// The worker's, but for inspect(), which is called where `exclusively` keeps changes away.
class HotPlug : public Inspectable {
 public:
  /// The free ports of machine.pci.
  explicit HotPlug(HotPlugMachine machine);

  /// `device`: the address of a function of the host, with which the others of its slot come, or
  /// the socket of a vfio-user server (an absolute path). Returns when the guest is told. Errors:
  /// kConfig, kHost, kUnsafeDevice; kWrongState: no slot is free,
  /// or nobody has the right to take a card.
  Status attach(const std::string& device, const HotCard::IsUnwanted& is_unwanted);

  struct Asked {
    std::uint8_t port = 0;
    bool is_released = false;  ///< it can be taken out at once
    std::string card = {};     ///< its name
  };
  /// Errors: kWrongState: the card has not come through attach(), or has been asked for.
  Result<Asked> ask_for(const std::string& device);
  /// What the machine knows of a card that is there.
  struct Card {
    std::string name = {};
    std::vector<PhysicalDevice*> devices = {};  ///< until it is taken out
  };
  /// Errors: as ask_for(). The worker's, and of who knows that it has no work.
  Result<Card> card(const std::string& device) const;
  /// As HotSlot. Errors: also kWrongState, where the card is not there.
  Status take_out(const std::string& device);
  /// All cards that are there; the worst error.
  Status reset(ResetReason reason);
  bool has_cards() const;
  void inspect(InspectNode& node) const override;

 private:
  Result<std::optional<std::uint32_t>> number_of(const std::string& device) const;
  std::unique_ptr<HotCard> make_lent_card(const std::string& device, std::uint8_t port,
                                          std::uint32_t number) const;
  Result<std::unique_ptr<HotCard>> make_card(const std::string& device, std::uint8_t port) const;
  Result<HotSlot*> slot_of(const std::string& device) const;

  const HotPlugMachine machine_;
  std::vector<std::unique_ptr<HotSlot>> slots_;  ///< refer to machine_
};

}  // namespace gpuvm
