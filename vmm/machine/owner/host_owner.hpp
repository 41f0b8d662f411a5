// SPDX-License-Identifier: Apache-2.0
// HostOwner: who owns a guest's functions and files on this host (docs/security-inside.md): keeps
// the locks and marks, does the few things that the monitor has no right to, and brings the
// functions back when the monitor is gone: opened anew, reset, verified, given to their drivers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/host/driver_binding.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/state_file.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/owner/kept_cards.hpp"
#include "vmm/machine/owner/kept_files.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {

/// One thread at a time.
class HostOwner final : public Owner {
 public:
  /// `host` must outlive this. `guest`: its name, for others who want its functions.
  /// `cards`: those that may come while the guest runs (machine.attachable); `scrub`: as
  /// KeptCards.
  HostOwner(const HostSystem& host, HostOpeners openers, const std::string& guest,
            const std::vector<Bdf>& cards = {}, PciScrub scrub = PciScrub::kOff);
  ~HostOwner() override;
  HostOwner(const HostOwner&) = delete;
  HostOwner& operator=(const HostOwner&) = delete;

  Status hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) override;
  Status hold_state(const std::string& name, UniqueFd file) override;
  Result<std::uint32_t> declare_file(const std::string& path, FileUse use) override;
  Status guest_runs() override;
  Status mark_failed(const Bdf& function, std::string_view reason) override;
  Status check_link(const Bdf& function) override;
  Status retrain_link(const Bdf& function) override;
  Status replace_file(std::uint32_t file, std::span<const std::byte> contents) override;
  Result<UniqueFd> open_file(std::uint32_t file) override;
  Status take_card(std::uint32_t card) override { return cards_.take(card); }
  Status give_back_card(std::uint32_t card) override { return cards_.give_back(card); }
  Result<bool> is_card_idle(std::uint32_t card) override { return cards_.is_idle(card); }
  Result<CardFile> card_file(std::uint32_t card, CardFileKind kind, std::uint32_t index) override {
    return cards_.file(card, kind, index);
  }

  /// When the monitor has ended: waits for the cards that it has asked for. May take minutes.
  void settle() const { cards_.settle(); }
  /// Once, when the monitor has ended: resets and verifies the functions, whatever was said of
  /// them, removes their marks and gives them to their drivers. Those that do not come back stay
  /// dirty, with vfio-pci. Where the process `killed` (0: it ended by itself) had not handed them
  /// over yet, or the hand-over failed, that is done with what it left on disk. May take minutes.
  /// Errors: kUnsafeDevice, kHost.
  Status give_back(long killed);

 private:
  Status give_back_functions(bool is_usual_end);
  Status take_orphans(long killed);
  void restore_others() const;
  Result<UpstreamPort> port_of(const Bdf& function) const;
  Status before_guest() const;

  const HostSystem& host_;
  HostOpeners openers_;
  const std::string owner_;
  bool has_guest_ = false;
  long handing_over_ = 0;  ///< the process that hands over; 0: none has begun
  std::vector<HostFunction> functions_;
  DeviceClaims claims_;
  std::optional<DriverBinding> binding_;
  std::vector<StateFile> states_;
  KeptFiles files_;
  KeptCards cards_;
};

}  // namespace gpuvm
