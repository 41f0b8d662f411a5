// SPDX-License-Identifier: Apache-2.0
// Disks of a QEMU command line: -drive, -blockdev, -hda and the devices that show them; flash.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostDrives = 64;
constexpr std::uint64_t kByBootOption = 1000;  ///< behind what has a bootindex

void add(QemuParts& parts, ForeignDisk disk) {
  if (parts.guest.disks.size() < kMostDrives) {
    parts.guest.disks.push_back(std::move(disk));
  }
}

/// The code first, then the variables.
void add_flash(QemuParts& parts, const std::string& path, bool is_read_only) {
  if (parts.flash++ == 0 && (is_read_only || parts.guest.firmware.empty())) {
    parts.guest.firmware = path;
  } else {
    parts.guest.vars = path;
  }
}

void read_throttle(OptionList& options, ForeignDisk& disk) {
  disk.iops = number_of(options.text("throttling.iops-total", "iops")).value_or(0);
  disk.bandwidth = qemu_size(options.text("throttling.bps-total", "bps"), 0).value_or(0);
}

std::string cache_of(OptionList& options) {
  if (const auto word = options.take("cache")) {
    return *word;
  }
  if (options.is_on("cache.no-flush")) {
    return "unsafe";
  }
  return options.is_on("cache.direct") ? "none" : "";
}

bool is_remote(std::string_view path) {
  const auto colon = path.find(':');
  const auto slash = path.find('/');
  return colon != std::string_view::npos && slash != std::string_view::npos && colon < slash &&
         !path.starts_with("file:");
}

void set_path(ForeignDisk& disk, std::string path) {
  if (is_remote(path)) {
    disk.notes.push_back({path, disk.line, std::string(advice::kRemoteDisk)});
    return;
  }
  disk.path = path.starts_with("file:") ? path.substr(5) : std::move(path);
}

/// What the device says of the disk that it shows.
void read_disk_device(const std::string& driver, OptionList& options, ForeignDisk& disk) {
  disk.is_used = true;
  disk.cdrom = disk.cdrom || driver.ends_with("-cd");
  disk.bus = driver.starts_with("virtio-blk") ? "virtio" : driver.substr(0, driver.find('-'));
  if (const auto serial = options.take("serial")) {
    disk.serial = *serial;
  }
  if (const auto order = number_of(options.text("bootindex"))) {
    disk.boot_order = *order;
  }
  disk.queues = number_of(options.text("num-queues"));
  if (const auto cache = options.take("write-cache"); cache && switch_of(*cache) == false) {
    disk.cache = "writethrough";
  }
  options.skip({"id",
                "bus",
                "addr",
                "iothread",
                "scsi-id",
                "lun",
                "channel",
                "device-id",
                "unit",
                "share-rw",
                "scsi",
                "disable-legacy",
                "disable-modern",
                "config-wce",
                "ats",
                "iommu-platform",
                "multifunction",
                "packed",
                "logical-block-size",
                "physical-block-size",
                "rotation-rate",
                "werror",
                "rerror",
                "discard"});
}

}  // namespace

void add_image(QemuParts& parts, const Word& path, bool is_cdrom) {
  ForeignDisk disk;
  disk.line = path.line;
  disk.what = path.text;
  disk.cdrom = is_cdrom;
  disk.bus = "ide";
  disk.boot_order = kByBootOption + parts.guest.disks.size();
  set_path(disk, path.text);
  add(parts, std::move(disk));
}

void add_drive(QemuParts& parts, OptionList options) {
  const std::string interface = options.text("if");
  const bool is_read_only = options.is_on("readonly") || options.is_on("read-only");
  std::string path = options.text("file", "file.filename");
  if (interface == "pflash") {
    options.skip({"format", "unit", "id", "index"});
    add_flash(parts, path, is_read_only);
    return;
  }
  ForeignDisk disk;
  disk.line = options.line();
  disk.what = "drive " + path;
  disk.drive = options.text("id");
  disk.format = options.text("format", "driver");
  disk.cdrom = options.text("media") == "cdrom";
  disk.read_only = is_read_only;
  disk.bus = interface.empty() ? "ide" : interface == "none" ? "" : interface;
  disk.is_used = interface != "none";
  disk.cache = cache_of(options);
  disk.discard = options.text("discard");
  disk.serial = options.text("serial");
  disk.throwaway = options.is_on("snapshot");
  disk.boot_order = kByBootOption + parts.guest.disks.size();
  read_throttle(options, disk);
  set_path(disk, std::move(path));
  if (interface == "floppy") {
    parts.guest.note("", "-drive if=floppy", options.line(), advice::kFloppy);
    return;
  }
  options.skip({"aio", "index", "unit", "detect-zeroes", "werror", "rerror", "copy-on-read",
                "cache.direct", "cache.no-flush", "cache.writeback", "bus", "auto-read-only"});
  options.tell_rest("-drive", disk.notes);
  add(parts, std::move(disk));
}

void add_blockdev(QemuParts& parts, OptionList options) {
  const std::string below = options.text("file");  // another node
  ForeignDisk disk;
  disk.line = options.line();
  disk.drive = options.text("node-name");
  disk.format = options.text("driver");
  disk.read_only = options.is_on("read-only");
  disk.discard = options.text("discard");
  disk.cache = cache_of(options);
  disk.is_used = false;
  std::string path = options.text("file.filename", "filename");
  const auto found = std::find_if(
      parts.guest.disks.begin(), parts.guest.disks.end(),
      [&](const ForeignDisk& other) { return !below.empty() && other.drive == below; });
  if (found != parts.guest.disks.end()) {
    disk.path = found->path;
    disk.notes = found->notes;
  } else {
    set_path(disk, std::move(path));
  }
  disk.what = "blockdev " + disk.path;
  add(parts, std::move(disk));
}

void use_drive(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string id = options.text("drive");
  auto& disks = parts.guest.disks;
  const auto disk = std::find_if(disks.begin(), disks.end(), [&](const ForeignDisk& other) {
    return !id.empty() && other.drive == id;
  });
  if (disk == disks.end()) {
    if (!driver.ends_with("-cd")) {
      parts.guest.note("", "-device " + driver, options.line(),
                       "its drive is not in this text: add a [[disk]] with the file's path");
    }
    return;
  }
  read_disk_device(driver, options, *disk);
  options.tell_rest("-device " + driver, disk->notes);
}

}  // namespace gpuvm::convert
