// SPDX-License-Identifier: Apache-2.0
// VfioDevice: one PCI function behind the kernel's vfio-pci (Linux, include/uapi/linux/vfio.h,
// "DEVICE" ioctls). Missing: migration, low-power features, use of device-specific regions.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/region_table.hpp"
#include "devices/physical/vfio/bar_places.hpp"
#include "devices/physical/vfio/card_link.hpp"
#include "devices/physical/vfio/vfio_parse.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

class VfioDevice final : public PhysicalDevice {
 public:
  static constexpr std::size_t kIrqTypeCount = 5;

  /// Asks an opened device file for its regions and interrupts. `host`, for messages and
  /// card_link(), must outlive the object. Errors: kHost.
  static Result<std::unique_ptr<VfioDevice>> create(const HostSystem& host, const Bdf& bdf,
                                                    std::uint32_t group, UniqueFd fd);

  /// Of a function that is no virtual one, from files that another process has opened: no path is
  /// asked. `config` and `resource`: of sysfs. Errors: kHost.
  static Result<std::unique_ptr<VfioDevice>> adopt(const HostSystem& host, const Bdf& bdf,
                                                   std::uint32_t group, UniqueFd fd,
                                                   UniqueFd config, UniqueFd resource);
  /// What adopt() takes, as second descriptors. Errors: kHost, also of a virtual function, whose
  /// card's link could not be read any more.
  struct Files {
    UniqueFd device = {};
    UniqueFd config = {};
    UniqueFd resource = {};
  };
  Result<Files> duplicate_files() const;

  const Bdf& bdf() const { return bdf_; }
  std::uint32_t group() const { return group_; }
  int fd() const { return fd_.get(); }

  const std::string& name() const override { return name_; }
  const RegionInfo& region(RegionIndex index) const override { return regions_.info(index); }
  Result<std::uint64_t> ask_region_size(RegionIndex index) override;
  std::vector<RegionIndex> specific_regions() const override { return regions_.specific(); }
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override;
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override;
  Status write_on_event(RegionIndex index, std::uint64_t offset, unsigned size, std::uint64_t value,
                        int event_fd) override;
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) override {
    return regions_.map(index, area, alignment);
  }
  IrqInfo irq(IrqType type) const override;
  Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override;
  Status disable_irqs(IrqType type) override;
  Status set_intx_unmask_fd(int fd) override;
  Status set_intx_masked(bool masked) override;
  std::uint32_t atomic_completers() const override { return atomic_completers_; }
  bool is_virtual_function() const override { return is_virtual_function_; }
  std::optional<CardLink> card_link() const override;
  DriverAnswer driver_answer() const override { return answer_; }
  Result<std::optional<std::vector<BarPlace>>> bar_places() override;
  bool is_withheld() const override { return is_withheld_; }
  /// What the kernel answered to a reset that this function was part of: 0, or an errno value. Any
  /// thread.
  void note_reset(int error);
  bool has_function_reset() const override { return has_function_reset_; }
  Status function_reset() override;

 private:
  struct Irq {
    IrqInfo info;
    bool is_enabled = false;
    bool is_short = false;  ///< that the host has fewer vectors than asked for was said
  };
  VfioDevice(const HostSystem& host, const Bdf& bdf, std::uint32_t group, UniqueFd fd);
  Status load_info();
  Status load_host_view(const HostSystem& host);
  Status load_region(std::uint32_t index);
  /// Nothing where the function has no such region.
  Result<std::optional<vfio::ParsedRegion>> ask_region(std::uint32_t index) const;
  Status load_irq(std::uint32_t index);
  Status set_irqs(std::span<const std::byte> argument, const char* what);
  void tell_missing_vectors(IrqType type, std::size_t wanted, std::size_t enabled);
  Error access_error(const char* verb, RegionIndex index, std::uint64_t offset, int error) const;

  const HostSystem& host_;  ///< for messages and what sysfs tells
  Bdf bdf_;
  std::uint32_t group_;
  UniqueFd fd_;
  std::string name_;
  RegionTable regions_;
  std::array<Irq, kIrqTypeCount> irqs_;
  std::uint32_t atomic_completers_ = 0;
  DriverAnswer answer_;
  bool has_function_reset_ = false;
  bool is_virtual_function_ = false;
  std::optional<vfio::CardLinkReader> card_link_;   ///< of a virtual function
  std::optional<vfio::BarPlaceReader> bar_places_;  ///< always, once created
  std::atomic<bool> is_withheld_{false};
};

}  // namespace gpuvm
