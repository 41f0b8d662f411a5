// SPDX-License-Identifier: Apache-2.0
// HostDevices: the host functions that a guest owns, from the configuration's [[pci]] entries:
// checked, taken from their drivers, opened through VFIO, with guest memory mapped for their DMA.
// Given back when this goes.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "devices/passthrough/vfio/vfio_host.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// One function and where the guest will find it.
struct HostFunction {
  Bdf host;
  std::uint8_t port = 0;      ///< root port
  std::uint8_t function = 0;  ///< number behind it
  bool managed = true;        ///< gpuvm binds it
};

/// Resolves "all" and guest function numbers: the first slot of a port keeps its numbers, later
/// ones take the next free. Errors: kConfig (absent device, more than 8 functions behind a port).
Result<std::vector<HostFunction>> resolve_functions(const HostSystem& host,
                                                    const std::vector<PciConfig>& entries);

class HostDevices : public Inspectable {
 public:
  /// Binds and opens; all or nothing. `host` must outlive this. Errors: kConfig, kHost.
  static Result<std::unique_ptr<HostDevices>> create(const HostSystem& host,
                                                     std::vector<HostFunction> functions);

  const std::vector<HostFunction>& functions() const { return functions_; }
  bool empty() const { return functions_.empty(); }
  VfioDevice& device(std::size_t index) { return vfio_->device(index); }
  /// Null when there are no functions.
  VfioHost* vfio() { return vfio_.get(); }
  std::vector<int> group_fds() const { return vfio_ ? vfio_->group_fds() : std::vector<int>{}; }

  /// Lets the devices reach guest memory, at its guest addresses; pins it. Once, kept across
  /// reboots.
  Status map_memory(const GuestMemory& memory);
  void inspect(InspectNode& node) const override;

 private:
  explicit HostDevices(std::vector<HostFunction> functions) : functions_(std::move(functions)) {}

  // Destroyed in reverse: VFIO handles are closed before the drivers take their functions back.
  std::vector<HostFunction> functions_;
  std::optional<DriverBinding> binding_;
  std::unique_ptr<VfioHost> vfio_;
};

}  // namespace gpuvm
