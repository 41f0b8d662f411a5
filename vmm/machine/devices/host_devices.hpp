// SPDX-License-Identifier: Apache-2.0
// HostDevices: the functions that a guest owns. Those of the host are checked, taken from their
// drivers and opened through VFIO; those of vfio-user servers are connected to. Guest memory is
// mapped for their DMA. Given back when this goes, except for those that are dirty
// (device_claims.hpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/reset/reset_book.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/slot_cycle.hpp"
#include "vmm/machine/devices/device_claims.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/machine/devices/owned_function.hpp"
#include "vmm/machine/devices/physical_hosts.hpp"
#include "vmm/memory/guest_memory.hpp"
#include "vmm/owner/card_files.hpp"

namespace gpuvm {

/// A host with its functions, opened.
struct OpenedHost {
  std::unique_ptr<PhysicalHost> host;    ///< owns the devices
  std::vector<PhysicalDevice*> devices;  ///< in the order in which they were asked for
  std::vector<int> group_fds = {};       ///< of VFIO, for KVM; they stay the host's
  /// Second descriptors of all that it has open; nothing: it cannot be handed on. Not after the
  /// host's end. Errors: kHost.
  std::function<Result<CardFiles>()> duplicate = {};
};

/// How functions are opened; tests put fakes in the place of the real ones. Each is called with at
/// least one function. Errors: kConfig, kHost.
struct HostOpeners {
  std::function<Result<OpenedHost>(const FunctionPointers&)> vfio;
  std::function<Result<OpenedHost>(const std::vector<std::string>&)> vfio_user;
  /// What another process has opened through VFIO. Errors: kHost, kInternal.
  std::function<Result<OpenedHost>(CardFiles)> adopt = {};
  /// How it is waited for functions that the kernel looks for.
  HostSleep sleep = sleep_for_real;

  /// Kernel VFIO and sockets. `host` must outlive what is returned.
  static HostOpeners real(const HostSystem& host);
};

class HostDevices : public Inspectable {
 public:
  /// Binds and opens; all or nothing. `host` must outlive this. Errors: kConfig, kHost.
  static Result<std::unique_ptr<HostDevices>> create(const HostSystem& host,
                                                     std::vector<HostFunction> functions,
                                                     DeviceClaims claims = {});
  static Result<std::unique_ptr<HostDevices>> create(const HostSystem& host,
                                                     std::vector<HostFunction> functions,
                                                     DeviceClaims claims, HostOpeners openers);
  /// As above, of functions that are bound already.
  static Result<std::unique_ptr<HostDevices>> create(const HostSystem& host,
                                                     std::vector<HostFunction> functions,
                                                     DeviceClaims claims, HostOpeners openers,
                                                     DriverBinding binding);

  /// Functions of a card that `owner` has taken, with its files: nothing is claimed, bound or given
  /// back here, and no path is asked; what concerns marks and links is the owner's, which must
  /// outlive this. Neither reopen() nor cycle(). Errors: kInternal: they are of other functions;
  /// kHost.
  static Result<std::unique_ptr<HostDevices>> adopt(const HostSystem& host,
                                                    std::vector<HostFunction> functions,
                                                    CardFiles files, Owner& owner,
                                                    HostOpeners openers);

  /// In the order of create(); none is null.
  std::span<const std::unique_ptr<OwnedFunction>> functions() const { return functions_; }
  /// What the configuration says of them, in the same order.
  FunctionPointers host_functions() const;
  bool empty() const { return functions_.empty(); }
  /// Those that are open, in the same order; until they are closed.
  std::vector<PhysicalDevice*> devices() const;
  PhysicalHost& host() { return hosts_; }
  /// The host whose functions reach each other's BARs through one IOMMU; nullptr: it has none of
  /// ours.
  PhysicalHost* peer_host() { return vfio_ ? vfio_->host.get() : nullptr; }
  /// What the host's IOMMU maps for them, ascending; empty: unknown, or there is none.
  std::vector<IovaRange> dma_ranges() const {
    return vfio_ ? vfio_->host->dma_ranges() : std::vector<IovaRange>();
  }
  DeviceClaims& claims() { return claims_; }
  /// As DriverBinding, of the function of that name.
  bool has_resized(std::string_view name) const;
  /// What all who reset the functions know of their resets; MachineReset::plan() enters them.
  ResetBook& reset_book() { return reset_book_; }
  /// Closes the devices and opens them again: what device() and devices() returned is void; the
  /// book keeps what it knows of them. Errors: kInternal while a function is shown to a guest, and
  /// then nothing has happened; as create(), and then all are closed.
  Status reopen();
  /// The slots of these functions of the host, each once, for what can only be done to closed
  /// functions. Errors: kHost: one has no slot of ours alone, or is not bound by gpuvm.
  Result<std::vector<SlotCycle>> slots_of(std::span<const std::string> functions) const;
  /// Closes the devices, takes their slots through `method`, and opens the devices again. Errors:
  /// as reopen() and SlotCycle::run(); then all are closed.
  Status cycle(std::span<SlotCycle> slots, SlotMethod method);
  std::vector<int> group_fds() const { return vfio_ ? vfio_->group_fds : std::vector<int>{}; }

  /// What outlives this process goes to `owner`, which must outlive this: claims, marks and
  /// bindings. The functions stay open here, are reset here, and are given back there. Once, and
  /// then neither reopen() nor cycle(). Errors: kHost; what has gone is the owner's all the same.
  Status hand_over(Owner& owner);

  /// Closes the devices, whose files the caller has then, for adopt() in another process; claims
  /// and bindings stay here. reopen() has them again, once nobody has the files. Errors: kInternal,
  /// kHost, and then they stay open.
  Result<CardFiles> hand_out();

  /// Lets the devices reach guest memory, at its guest addresses; pins it. Once, kept across
  /// reboots. `is_unwanted` is asked before each step of at most 1 GiB. Errors: kHost; kCancelled
  /// where it was unwanted.
  Status map_memory(const GuestMemory& memory, const MapIsUnwanted& is_unwanted);
  void inspect(InspectNode& node) const override;

 private:
  HostDevices(const HostSystem& host, std::vector<HostFunction> functions, DeviceClaims claims,
              HostOpeners openers);
  Status check_hidden() const;
  Status bind();
  Status open();
  void close();
  /// The next of `devices` belongs to the next function of this kind, and so on.
  Status assign(const std::vector<PhysicalDevice*>& devices, bool are_remote);

  // Destroyed in reverse: VFIO handles are closed before the drivers take their functions back.
  const HostSystem& host_;
  const HostOpeners openers_;
  std::vector<std::unique_ptr<OwnedFunction>> functions_;
  DeviceClaims claims_;
  std::optional<DriverBinding> binding_;
  std::optional<OpenedHost> vfio_;    ///< nothing where the host has none of them
  std::optional<OpenedHost> remote_;  ///< nothing where no server has one
  PhysicalHosts hosts_;
  ResetBook reset_book_{hosts_};
};

}  // namespace gpuvm
