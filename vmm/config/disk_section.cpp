// SPDX-License-Identifier: Apache-2.0
// [[disk]]: images and block devices of the host that the guest has as disks. Whether they exist
// and can be had is known by the room that opens them.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostDisks = 8;  ///< as many slots as the machine keeps for them

Result<DiskConfig> read_disk(TableReader entry) {
  DiskConfig disk;
  disk.place.text = entry.own_place();
  disk.path = TRY(entry.optional_path("path")).value_or("");
  disk.read_only = TRY(entry.boolean("readonly", disk.read_only));
  disk.boot = TRY(entry.boolean("boot", disk.boot));
  TRY(entry.finish());
  if (disk.path.empty()) {
    return entry.wrong("path", "is missing: name a raw image file or a block device");
  }
  return disk;
}

Status check_conflict(const TableReader& entry, const DiskConfig& later, const DiskConfig& earlier,
                      std::size_t earlier_index) {
  if (is_same_path(later.path, earlier.path)) {
    return entry.wrong("path", fmt::format("is already given by disk.{}", earlier_index));
  }
  if (later.boot && earlier.boot) {
    return entry.wrong("boot", fmt::format("is true for disk.{} already; one disk is started from",
                                           earlier_index));
  }
  return {};
}

}  // namespace

Result<std::vector<DiskConfig>> read_disks(const std::vector<TableReader>& entries) {
  std::vector<DiskConfig> all;
  for (const auto& entry : entries) {
    if (all.size() == kMostDisks) {
      return entry.wrong(
          "path",
          fmt::format("is in one section too many: at most {} [[disk]] are accepted", kMostDisks));
    }
    all.push_back(TRY(read_disk(entry)));
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      TRY(check_conflict(entry, all.back(), all[i], i));
    }
  }
  return all;
}

}  // namespace gpuvm::config
