// SPDX-License-Identifier: Apache-2.0
// [[disk]]: images and block devices of the host that the guest has as disks. Whether they exist
// and can be had is known by the room that opens them.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostDisks = 8;       ///< as many slots as the machine keeps for them
constexpr std::size_t kLongestSerial = 20;  ///< VIRTIO 1.2, 5.2.6
constexpr std::int64_t kMostQueues = 16;
constexpr std::string_view kDiskSerialRule =
    "1 to 20 of the characters a-z, A-Z, 0-9, \"-\", \"_\" and \".\"";

bool is_serial_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

Result<std::string> read_serial(TableReader& entry) {
  const auto serial = TRY(entry.optional_string("serial", kDiskSerialRule));
  if (serial && (serial->empty() || serial->size() > kLongestSerial ||
                 !std::all_of(serial->begin(), serial->end(), is_serial_character))) {
    return entry.must_be("serial", kDiskSerialRule, '"' + printable(*serial) + '"');
  }
  return serial.value_or("");
}

/// What the program that serves a disk in gpuvm's place cannot do.
Status check_served(const TableReader& entry, const DiskConfig& disk) {
  if (disk.throwaway && disk.read_only) {
    return entry.wrong("throwaway",
                       "does not go with readonly, which lets nothing be written: remove one");
  }
  if (disk.throwaway && disk.format != DiskFormat::kRaw && disk.format != DiskFormat::kQcow2) {
    return entry.wrong("throwaway",
                       fmt::format("needs a raw or a qcow2 image, not format = \"{}\": make one of "
                                   "it (qemu-img convert -O qcow2 OLD NEW)",
                                   word_of(disk.format)));
  }
  if (is_served(disk) && !disk.serial.empty()) {
    return entry.wrong(
        "serial",
        "cannot be given to a disk that qemu-storage-daemon serves (another format than \"raw\", "
        "or "
        "throwaway): its guests read \"vhost_user_blk\"; remove it, or take a raw image");
  }
  return {};
}

Result<DiskConfig> read_disk(TableReader entry) {
  DiskConfig disk;
  disk.place.text = entry.own_place();
  disk.path = TRY(entry.optional_path("path")).value_or("");
  disk.format = TRY(entry.choice("format", disk.format));
  disk.read_only = TRY(entry.boolean("readonly", disk.read_only));
  disk.throwaway = TRY(entry.boolean("throwaway", disk.throwaway));
  disk.boot = TRY(entry.boolean("boot", disk.boot));
  disk.serial = TRY(read_serial(entry));
  disk.cache = TRY(entry.choice("cache", disk.cache));
  disk.discard = TRY(entry.boolean("discard", disk.discard));
  if (const auto queues =
          TRY(entry.optional_integer("queues", {.least = 1, .most = kMostQueues}))) {
    disk.queues = static_cast<unsigned>(*queues);
  }
  const auto throttle = TRY(read_throttle_table(entry, "iops"));
  disk.throttle = {.iops = throttle.count, .bandwidth = throttle.bandwidth};
  TRY(entry.finish());
  if (disk.path.empty()) {
    return entry.wrong("path", "is missing: name an image file or a block device");
  }
  TRY(check_served(entry, disk));
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

Status check_serials(const TableReader& entry, const std::vector<DiskConfig>& all) {
  const std::size_t last = all.size() - 1;
  if (is_served(all[last])) {
    return {};
  }
  const std::string serial = serial_of(all[last], last);
  for (std::size_t i = 0; i < last; ++i) {
    if (!is_served(all[i]) && serial_of(all[i], i) == serial) {
      return entry.wrong(
          "serial",
          fmt::format("is \"{}\", as that of disk.{} is already: give each its own", serial, i));
    }
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
    TRY(check_serials(entry, all));
  }
  return all;
}

}  // namespace gpuvm::config

namespace gpuvm {

bool is_served(const DiskConfig& disk) {
  return disk.format != DiskFormat::kRaw || disk.throwaway;
}

std::string serial_of(const DiskConfig& disk, std::size_t index) {
  return disk.serial.empty() ? fmt::format("gpuvm-disk-{}", index) : disk.serial;
}

}  // namespace gpuvm
