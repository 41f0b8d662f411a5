// SPDX-License-Identifier: Apache-2.0
// Functions of the host as sysfs shows them, behind the interfaces of the reset plan: what would be
// done to a device can be told without touching it. Whether a hot reset is possible is the kernel's
// to say once VFIO has opened the function; here it is taken from the tree.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// Reads of configuration space only; everything else fails.
class SysfsFunction final : public PhysicalDevice {
 public:
  /// Errors: kConfig (absent), kHost.
  static Result<std::unique_ptr<SysfsFunction>> open(const HostSystem& host, const Bdf& bdf);

  const HostPciDevice& device() const { return device_; }
  /// Without root the kernel shows 64 bytes, which hold no capability.
  bool shows_capabilities() const;

  const std::string& name() const override { return name_; }
  const RegionInfo& region(RegionIndex index) const override;
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override;
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override;
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) override;
  IrqInfo irq(IrqType) const override { return {}; }
  Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override;
  Status disable_irqs(IrqType) override { return {}; }
  Status set_intx_unmask_fd(int fd) override;
  Status set_intx_masked(bool masked) override;
  bool has_function_reset() const override { return has_function_reset_; }
  Status function_reset() override;

 private:
  SysfsFunction(HostPciDevice device, std::vector<std::byte> config)
      : device_(std::move(device)), name_(device_.bdf().to_string()), config_(std::move(config)) {}
  Error refuse() const;

  HostPciDevice device_;
  std::string name_;
  std::vector<std::byte> config_;
  bool has_function_reset_ = false;
  RegionInfo none_;
};

/// Functions below the same port of the tree belong to one hot reset.
class SysfsHost final : public PhysicalHost {
 public:
  explicit SysfsHost(const HostSystem& host) : host_(host) {}
  Status map_dma(Iova at, const DmaMemory& memory) override;
  Status unmap_dma(Iova at, std::uint64_t size) override;
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override;
  Status hot_reset(PhysicalDevice& device) override;
  /// Whose functions are below the port, the hot reset's set tells.
  Status check_link_retrain(PhysicalDevice& device) override;

 private:
  const HostSystem& host_;
};

}  // namespace gpuvm
