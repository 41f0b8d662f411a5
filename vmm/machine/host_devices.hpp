// SPDX-License-Identifier: Apache-2.0
// HostDevices: the host functions that a guest owns, from the configuration's [[pci]] entries:
// checked, taken from their drivers, opened through VFIO, with guest memory mapped for their DMA.
// Given back when this goes, except for those that are dirty (device_claims.hpp).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "devices/passthrough/vfio/vfio_host.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/device_claims.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// One function and where the guest will find it.
struct HostFunction {
  Bdf host;
  std::uint8_t port = 0;      ///< root port
  std::uint8_t function = 0;  ///< number behind it
  bool managed = true;        ///< gpuvm binds it
  FunctionResetOptions reset;
};
std::vector<Bdf> addresses_of(const std::vector<HostFunction>& functions);

/// Resolves "all" and guest function numbers: the first slot of a port keeps its numbers, later
/// ones take the next free. Errors: kConfig (absent device, more than 8 functions behind a port).
Result<std::vector<HostFunction>> resolve_functions(const HostSystem& host,
                                                    const std::vector<PciConfig>& entries);

/// The kernel resets a function when VFIO opens it; on some hardware that must not happen the
/// kernel's way. Errors: kUnsafeDevice with the command that cures it.
Status check_open_is_safe(const HostSystem& host, const Bdf& bdf);

class HostDevices : public Inspectable {
 public:
  /// Binds and opens; all or nothing. `host` must outlive this. Errors: kConfig, kHost.
  static Result<std::unique_ptr<HostDevices>> create(const HostSystem& host,
                                                     std::vector<HostFunction> functions,
                                                     DeviceClaims claims = {});

  const std::vector<HostFunction>& functions() const { return functions_; }
  bool empty() const { return functions_.empty(); }
  VfioDevice& device(std::size_t index) { return vfio_->device(index); }
  /// Null when there are no functions.
  VfioHost* vfio() { return vfio_.get(); }
  DeviceClaims& claims() { return claims_; }
  /// Closes the devices and opens them again; every reference to one is void.
  Status reopen();
  /// How they looked while they were well, for later plans.
  void remember(const std::vector<FunctionState>& states);
  std::vector<int> group_fds() const { return vfio_ ? vfio_->group_fds() : std::vector<int>{}; }

  /// Lets the devices reach guest memory, at its guest addresses; pins it. Once, kept across
  /// reboots.
  Status map_memory(const GuestMemory& memory);
  void inspect(InspectNode& node) const override;

 private:
  HostDevices(const HostSystem& host, std::vector<HostFunction> functions, DeviceClaims claims)
      : host_(host), functions_(std::move(functions)), claims_(std::move(claims)) {}

  // Destroyed in reverse: VFIO handles are closed before the drivers take their functions back.
  const HostSystem& host_;
  std::vector<HostFunction> functions_;
  DeviceClaims claims_;
  std::optional<DriverBinding> binding_;
  std::unique_ptr<VfioHost> vfio_;
};

}  // namespace gpuvm
