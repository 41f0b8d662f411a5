// SPDX-License-Identifier: Apache-2.0
// RegionTable: the regions of one physical function and where in a file their bytes are, as VFIO's
// PCI convention has them (Linux, include/uapi/linux/vfio.h, struct vfio_region_info): BARs, ROM,
// configuration space, VGA, and behind them those of one vendor's devices. What accesses and
// mappings are checked against, whoever brings the function. Sizes and offsets come from a kernel
// or a server and are hostile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// Filled by one thread; then read by any.
class RegionTable {
 public:
  /// Regions that PCI functions have; specific ones are behind them.
  static constexpr std::uint32_t kPciRegions = 9;
  /// More are not looked at.
  static constexpr std::uint32_t kMostRegions = 32;

  /// Where a region's bytes are.
  struct Place {
    std::uint64_t file_offset = 0;
    UniqueFd file = {};  ///< of this region alone; none: the file that all regions share
  };

  /// `name` is the function's, for messages. `shared_file` holds the regions without a file of
  /// their own, is not owned, and must outlive this; -1: there is none.
  explicit RegionTable(std::string name, int shared_file = -1);

  /// How many regions to ask the function for that says it has `count`.
  static std::uint32_t bounded(std::uint32_t count) {
    return count < kMostRegions ? count : kMostRegions;
  }

  /// Errors: kHost: a region that does not fit into what file offsets reach, areas outside of it,
  /// or an index of kMostRegions or more.
  Status set(RegionIndex index, RegionInfo info, Place place);

  /// An absent region has no bytes and no rights.
  const RegionInfo& info(RegionIndex index) const;
  /// Those behind PCI's that have a type and bytes, in their order.
  std::vector<RegionIndex> specific() const;

  /// Where in the file an access begins. Errors: kHost: no such right, or not all of it is inside.
  Result<std::uint64_t> locate_read(RegionIndex index, std::uint64_t offset,
                                    std::uint64_t size) const;
  Result<std::uint64_t> locate_write(RegionIndex index, std::uint64_t offset,
                                     std::uint64_t size) const;

  /// As PhysicalDevice::map(). Errors: kHost: not mappable there.
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) const;

 private:
  struct Region {
    RegionInfo info;
    Place place;
  };
  const Region& find(RegionIndex index) const;
  Result<std::uint64_t> locate(const char* verb, bool is_allowed, RegionIndex index,
                               std::uint64_t offset, std::uint64_t size) const;

  const std::string name_;
  const int shared_file_;
  std::vector<Region> regions_ = std::vector<Region>(kPciRegions);
};

/// Whether the area may be mapped: it has bytes, and is inside the region and one of its areas.
bool may_map(const RegionInfo& info, const RegionArea& area);

}  // namespace gpuvm
