// SPDX-License-Identifier: Apache-2.0
// VfioHost: one VFIO container (type1 v2 IOMMU) with the groups of all functions of a guest
// (Linux, Documentation/driver-api/vfio.rst). Missing: iommufd and the per-device character files
// (kernel 6.6), VFIO without an IOMMU.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/vfio/vfio_device.hpp"
#include "vmm/base/card_files.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/upstream_port.hpp"

namespace gpuvm {

/// A function to open.
struct VfioFunction {
  Bdf bdf;
  /// UUID that a virtual function's user shares with that of its physical function, where VFIO has
  /// that one, too; for a physical function: sets it. Empty: none.
  std::string vf_token = {};
};

/// Control thread only, but for hot resets, DMA mappings and the devices' own region accesses: any
/// thread. It has no lock: what it holds is the same from open() on, and the kernel has its own.
/// Destroy it after every mapping of a device's region, after the VM that holds the groups, and
/// before the DriverBinding.
class VfioHost final : public PhysicalHost {
 public:
  /// Opens functions that are bound to a VFIO driver. The kernel resets each one as it is opened;
  /// slots are opened at once (opening_order.hpp).
  /// `host` must outlive it. Errors: kConfig (absent), kHost naming the group, who holds it and the
  /// cure.
  static Result<std::unique_ptr<VfioHost>> open(const std::vector<VfioFunction>& functions,
                                                const HostSystem& host);

  /// What another process has opened. No path is asked, and nothing is reset. Errors: kHost;
  /// kInternal: a function's group is missing.
  static Result<std::unique_ptr<VfioHost>> adopt(CardFiles files, const HostSystem& host);
  /// Second descriptors of everything, for adopt() in another process, which has it alone once this
  /// goes. Errors: kHost.
  Result<CardFiles> duplicate_files() const;

  /// In the order of open().
  std::size_t device_count() const { return devices_.size(); }
  VfioDevice& device(std::size_t index) { return *devices_.at(index); }
  /// For the reset sequence.
  std::vector<PhysicalDevice*> devices() const;
  /// For KVM's VFIO device (KVM_DEV_VFIO_FILE_ADD); they stay ours.
  std::vector<int> group_fds() const;

  Status map_dma(Iova at, const DmaMemory& memory) override;
  /// The kernel pins page by page, half a second a GiB where they are small; of this size the IOMMU
  /// still has its largest pages.
  std::uint64_t map_step() const override { return 1_GiB; }
  Status unmap_dma(Iova at, std::uint64_t size) override;
  std::vector<IovaRange> dma_ranges() const override { return iova_ranges_; }
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override;
  Status hot_reset(PhysicalDevice& device) override;
  Status check_link_retrain(PhysicalDevice& device) override;
  Status retrain_link(PhysicalDevice& device) override;

 private:
  explicit VfioHost(const HostSystem& host) : host_(host) {}
  Result<UpstreamPort> owned_port(const PhysicalDevice& device) const;
  Status open_container(const HostSystem& host);
  Status add_group(const HostSystem& host, std::uint32_t number);
  Status set_iommu(const HostSystem& host);
  Status add_devices(const std::vector<VfioFunction>& functions,
                     const std::vector<std::uint32_t>& groups);
  Result<std::unique_ptr<VfioDevice>> open_device(const VfioFunction& function,
                                                  std::uint32_t group) const;
  Status load_iommu_info();
  Result<VfioDevice*> find(const PhysicalDevice& device) const;

  const HostSystem& host_;
  // Destroyed in reverse: devices, groups, container.
  UniqueFd container_;
  std::map<std::uint32_t, UniqueFd> groups_;
  std::vector<std::unique_ptr<VfioDevice>> devices_;
  std::vector<IovaRange> iova_ranges_;  ///< that may be mapped; empty: the kernel does not say
};

}  // namespace gpuvm
