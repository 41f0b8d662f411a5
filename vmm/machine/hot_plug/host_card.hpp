// SPDX-License-Identifier: Apache-2.0
// HostCard: the functions of one card of the host, or one of a vfio-user server, on their way into
// a running guest and out again. They are HostDevices of their own, with their own VFIO container:
// what a start does with all functions is done with these.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/devices/machine_reset.hpp"
#include "vmm/machine/hot_plug/hot_card.hpp"
#include "vmm/machine/hot_plug/hot_slot.hpp"
#include "vmm/machine/pci/pci_complex.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class Owner;

/// A card of machine.attachable.
struct AttachableCard {
  Bdf bdf = {};  ///< of one function
  /// All that come with it, as they were when the guest started: nobody looks into sysfs later.
  std::vector<HostFunction> functions = {};
};
/// In the order of `cards`. Errors: as resolve_functions().
Result<std::vector<AttachableCard>> find_attachable(const HostSystem& host,
                                                    const std::vector<Bdf>& cards,
                                                    PciScrub scrub = PciScrub::kOff);

/// The machine that cards come into. All that is referred to must outlive the cards.
struct HotPlugMachine {
  const HostSystem& host;
  std::string owner;  ///< as DeviceClaims::take()
  GuestMemory& memory;
  bool memory_is_shared = false;  ///< with other processes, as servers need
  PciComplex& pci;
  /// Before memory is mapped for a card: its pages are there. Errors: kHost, kCancelled.
  std::function<Status(const HotCard::IsUnwanted&)> prepare_memory;
  /// As GuestVm.
  std::function<Status(int group)> hold_group;
  std::function<void(int group)> release_group;
  HotSlot::Exclusively exclusively;  ///< as there
  MachineReset::OnReset on_reset = {};
  MachineReset::OnScrub on_scrub = {};
  std::function<void(const HotPlugStep&)> on_step = {};
  /// How the functions are opened; nothing: as at a start.
  std::optional<HostOpeners> openers = {};
  /// Who takes cards for this process, which has no right to; null: it takes them itself.
  Owner* lender = nullptr;
  /// It has given up the right without a lender, so that no card can come.
  bool is_confined = false;
  /// The cards that may come, as the configuration has them; empty without a lender: any.
  std::vector<AttachableCard> attachable = {};
  PciScrub scrub = PciScrub::kOff;  ///< of cards that this process takes itself
};

class HostCard : public HotCard {
 public:
  /// `functions`: all for root port `port`, at least one.
  HostCard(const HotPlugMachine& machine, std::uint8_t port, std::string name,
           std::vector<HostFunction> functions)
      : machine_(machine), port_(port), name_(std::move(name)), functions_(std::move(functions)) {}

  std::string name() const override { return name_; }
  bool has(std::string_view function) const override;
  Status take() override;
  Status verify() override;
  Status join(const IsUnwanted& is_unwanted) override;
  Status show() override;
  Status announce() override { return machine_.pci.announce(port_); }
  std::vector<PhysicalDevice*> devices() const override { return devices_->devices(); }
  Status reset(ResetReason reason) override { return reset_->run(reason); }
  Result<bool> ask() override;
  Status withdraw() override { return machine_.pci.withdraw(port_); }
  void hide() override;
  Status release() override { return reset_->release(); }
  Status leave() override;
  void inspect(InspectNode& node) const override;

 protected:
  const HotPlugMachine& machine() const { return machine_; }
  const std::vector<HostFunction>& functions() const { return functions_; }
  HostOpeners openers() const;
  MachineReset& machine_reset() { return *reset_; }
  /// They are taken.
  void hold(std::unique_ptr<HostDevices> devices);

 private:
  Status check_memory() const;
  Status check_host() const;

  const HotPlugMachine& machine_;
  const std::uint8_t port_;
  const std::string name_;
  const std::vector<HostFunction> functions_;
  std::vector<int> held_groups_;
  std::unique_ptr<HostDevices> devices_;  ///< while they are taken
  std::unique_ptr<MachineReset> reset_;   ///< refers to devices_
  bool shows_reset_ = true;               ///< changes as `exclusively` has it
};

}  // namespace gpuvm
