// SPDX-License-Identifier: Apache-2.0
// HostDevices: the functions that a guest owns, from the configuration's [[pci]] entries. Those of
// the host are checked, taken from their drivers and opened through VFIO; those of vfio-user
// servers are connected to. Guest memory is mapped for their DMA. Given back when this goes, except
// for those that are dirty (device_claims.hpp).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "devices/physical/reset/reset_book.hpp"
#include "devices/physical/vfio/vfio_host.hpp"
#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/device_claims.hpp"
#include "vmm/machine/devices/function_settings.hpp"
#include "vmm/machine/devices/physical_hosts.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// One function and where the guest will find it.
struct HostFunction {
  Bdf host;                   ///< meaningless for one of a server
  std::uint8_t port = 0;      ///< root port
  std::uint8_t function = 0;  ///< number behind it
  bool managed = true;        ///< gpuvm binds it
  FunctionResetOptions reset;
  FunctionSettings settings = {};
  std::string socket = {};  ///< of the vfio-user server that has it; empty: the host has it

  bool is_remote() const { return !socket.empty(); }
  /// As PhysicalDevice::name().
  std::string name() const { return is_remote() ? socket : host.to_string(); }
};
/// Of those that the host has.
std::vector<Bdf> addresses_of(const std::vector<HostFunction>& functions);
/// Of those that servers have.
std::vector<std::string> sockets_of(const std::vector<HostFunction>& functions);

/// Resolves "all" and guest function numbers: the first slot of a port keeps its numbers, later
/// ones take the next free. Those of servers come last. Reads ROM files. Errors: kConfig (absent
/// device, more than 8 functions behind a port, a ROM file that does not fit). `host` must outlive
/// what is returned.
Result<std::vector<HostFunction>> resolve_functions(const HostSystem& host,
                                                    const std::vector<PciConfig>& entries);

/// Lanes of its link now, from sysfs; 0: not known.
std::uint8_t link_width_of(const HostSystem& host, const Bdf& bdf);

/// The kernel resets a function when VFIO opens it; on some hardware that must not happen the
/// kernel's way. Errors: kUnsafeDevice with the command that cures it.
Status check_open_is_safe(const HostSystem& host, const Bdf& bdf);

/// What the user should know before such a function is opened; empty: nothing.
std::string open_advice(const HostSystem& host, const Bdf& bdf);

class HostDevices : public Inspectable {
 public:
  /// Binds and opens; all or nothing. `host` must outlive this. Errors: kConfig, kHost.
  static Result<std::unique_ptr<HostDevices>> create(const HostSystem& host,
                                                     std::vector<HostFunction> functions,
                                                     DeviceClaims claims = {});

  const std::vector<HostFunction>& functions() const { return functions_; }
  bool empty() const { return functions_.empty(); }
  /// In the order of functions().
  PhysicalDevice& device(std::size_t index) { return *devices_.at(index); }
  const std::vector<PhysicalDevice*>& devices() const { return devices_; }
  PhysicalHost& host() { return hosts_; }
  /// The host whose functions reach each other's BARs through one IOMMU; nullptr: it has none of
  /// ours.
  PhysicalHost* peer_host() { return vfio_.get(); }
  DeviceClaims& claims() { return claims_; }
  /// What all who reset the functions know of their resets; DeviceReset::plan() enters them.
  ResetBook& reset_book() { return reset_book_; }
  /// Closes the devices and opens them again; every reference to one is void. The book keeps what
  /// it knows of them.
  Status reopen();
  std::vector<int> group_fds() const { return vfio_ ? vfio_->group_fds() : std::vector<int>{}; }

  /// Lets the devices reach guest memory, at its guest addresses; pins it. Once, kept across
  /// reboots.
  Status map_memory(const GuestMemory& memory);
  void inspect(InspectNode& node) const override;

 private:
  HostDevices(const HostSystem& host, std::vector<HostFunction> functions, DeviceClaims claims)
      : host_(host), functions_(std::move(functions)), claims_(std::move(claims)) {}
  Status bind();
  Status open();

  // Destroyed in reverse: VFIO handles are closed before the drivers take their functions back.
  const HostSystem& host_;
  std::vector<HostFunction> functions_;
  DeviceClaims claims_;
  std::optional<DriverBinding> binding_;
  std::unique_ptr<VfioHost> vfio_;        ///< null where the host has none of them
  std::unique_ptr<VfioUserHost> remote_;  ///< null where no server has one
  PhysicalHosts hosts_;
  ResetBook reset_book_{hosts_};
  std::vector<PhysicalDevice*> devices_;
};

}  // namespace gpuvm
