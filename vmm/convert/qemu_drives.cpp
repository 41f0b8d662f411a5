// SPDX-License-Identifier: Apache-2.0
// Disks of a QEMU command line: -drive, -hda and the devices that show them; flash.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_blocks.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostDrives = 64;
constexpr std::uint64_t kByDefault = 1000;        ///< behind what has a bootindex
constexpr std::uint64_t kCdromsByDefault = 2000;  ///< QEMU's order: disks, then CD drives

void add(QemuParts& parts, ForeignDisk disk) {
  std::string what = disk.what;
  parts.guest.add(parts.guest.disks, kMostDrives, std::move(disk), std::move(what));
}

/// The code first, then the variables.
void add_flash(QemuParts& parts, const std::string& path, bool is_read_only, std::size_t line) {
  ForeignGuest& guest = parts.guest;
  const std::size_t number = parts.flash++;
  if (number == 0 && (is_read_only || guest.firmware.empty())) {
    guest.firmware = path;
  } else if (number < 2) {
    guest.vars = path;
  } else {
    guest.note("boot", "pflash " + path, line,
               "there are two of them, boot.firmware and boot.vars: this one is left out");
  }
}

void read_throttle(OptionList& options, ForeignDisk& disk) {
  disk.iops = options.number("throttling.iops-total", "iops").value_or(0);
  disk.bandwidth = options.number("throttling.bps-total", "bps").value_or(0);
  std::vector<std::string> others;
  for (const auto& [name, value] : options.rest()) {
    if (name.starts_with("throttling.") || name.starts_with("iops") || name.starts_with("bps")) {
      others.push_back(name);
    }
  }
  for (const auto& name : others) {
    disk.notes.push_back({fmt::format("{}={}", name, options.text(name)), disk.line,
                          std::string(advice::kThrottle)});
  }
}

bool is_interface(std::string_view name) {
  static constexpr std::string_view kInterfaces[] = {"",   "none", "virtio", "ide",   "scsi",
                                                     "sd", "mtd",  "xen",    "floppy"};
  return std::find(std::begin(kInterfaces), std::end(kInterfaces), name) != std::end(kInterfaces);
}

/// index=, or bus= and unit=: the connector of the drive's interface. Drives of if=virtio are there
/// in the order of their options, whatever they say.
void read_index(OptionList& options, ForeignDisk& disk) {
  constexpr std::uint64_t kMostIndex = 1000;
  if (disk.bus != "ide" && disk.bus != "scsi") {
    return;
  }
  disk.index = options.number("index");
  const auto bus = options.number("bus");
  const auto unit = options.number("unit");
  if (!disk.index && (bus || unit) && bus.value_or(0) < kMostIndex) {
    disk.index = (bus.value_or(0) * (disk.bus == "ide" ? 2 : 7)) + unit.value_or(0);
  }
}

bool is_remote(std::string_view path) {
  const auto colon = path.find(':');
  const auto slash = path.find('/');
  return colon != std::string_view::npos && (slash == std::string_view::npos || colon < slash) &&
         !path.starts_with("file:") && !path.starts_with("/") && !path.starts_with(".");
}

/// What the device says of the disk that it shows.
void read_disk_device(QemuParts& parts, const std::string& driver, OptionList& options,
                      ForeignDisk& disk) {
  const std::string what = "-device " + driver;
  disk.is_used = true;
  disk.cdrom = disk.cdrom || driver.ends_with("-cd");
  disk.bus = driver.starts_with("virtio-blk") ? "virtio" : driver.substr(0, driver.find('-'));
  if (const auto serial = options.take("serial")) {
    disk.serial = *serial;
  }
  if (const auto order = options.number("bootindex")) {
    disk.boot_order = *order;
  }
  if (const auto queues = options.number("num-queues")) {
    disk.queues = *queues;
  }
  if (const auto cache = options.take("write-cache")) {
    if (switch_of(*cache) == false) {
      disk.cache = "writethrough";
    } else {
      parts.guest.needs_no_key(fmt::format("{} write-cache={}", what, *cache));
    }
  }
  if (const auto discard = options.take("discard")) {
    disk.discard = switch_of(*discard) == false ? "ignore" : disk.discard;
    parts.guest.needs_no_key(fmt::format("{} discard={}", what, *discard));
  }
  options.drop_places();
  options.needs_no_key(what, parts.guest,
                       {"iothread",
                        "share-rw",
                        "scsi",
                        "disable-legacy",
                        "disable-modern",
                        "config-wce",
                        "ats",
                        "iommu-platform",
                        "packed",
                        "logical-block-size",
                        "physical-block-size",
                        "rotation-rate",
                        "werror",
                        "rerror",
                        "wwn",
                        "queue-size",
                        "seg-max-adjust",
                        "vectors",
                        "ioeventfd",
                        "event-idx",
                        "product",
                        "vendor",
                        "ver",
                        "min-io-size",
                        "opt-io-size",
                        "discard-granularity",
                        "iothread-vq-mapping.iothread",
                        "page-per-vq",
                        "dpofua",
                        "write-zeroes",
                        "backend-defaults",
                        "model"});
}

}  // namespace

void set_path(ForeignDisk& disk, std::string path) {
  if (is_remote(path)) {
    disk.notes.push_back({path, disk.line, std::string(advice::kRemoteDisk)});
    return;
  }
  disk.path = path.starts_with("file:") ? path.substr(5) : std::move(path);
}

std::string cache_of(OptionList& options, const std::string& prefix) {
  const auto word = options.take(prefix + "cache");
  const bool loses = options.is_on(prefix + "cache.no-flush");
  const bool is_direct = options.is_on(prefix + "cache.direct");
  return word ? *word : loses ? "unsafe" : is_direct ? "none" : "";
}

void add_image(QemuParts& parts, const Word& path, bool is_cdrom,
               std::optional<std::uint64_t> index) {
  ForeignDisk disk;
  disk.line = path.line;
  disk.what = path.text;
  disk.cdrom = is_cdrom;
  disk.bus = "ide";
  disk.index = index;
  set_path(disk, path.text);
  add(parts, std::move(disk));
}

void add_drive(QemuParts& parts, OptionList options) {
  ForeignGuest& guest = parts.guest;
  const std::string interface = options.text("if");
  const bool is_read_only = options.is_on("readonly") || options.is_on("read-only");
  std::string path = options.text("file", "file.filename");
  if (interface == "pflash") {
    add_flash(parts, path, is_read_only, options.line());
    options.drop_places();
    options.needs_no_key("-drive", guest, {"format", "media", "cache", "file.locking", "size"});
    options.tell_rest("-drive", guest.notes["boot"]);
    return;
  }
  if (interface == "floppy") {
    guest.note("", "-drive " + options.argument(), options.line(), advice::kFloppy);
    return;
  }
  ForeignDisk disk;
  disk.line = options.line();
  disk.argument = options.argument();
  disk.what = "drive " + path;
  disk.drive = options.text("id");
  disk.format = options.text("format", "driver");
  const std::string media = options.text("media");
  disk.cdrom = media == "cdrom";
  if (!disk.cdrom && !media.empty()) {
    guest.needs_no_key("-drive media=" + media);
  }
  disk.read_only = is_read_only;
  disk.bus = interface.empty() ? "ide" : interface == "none" ? "" : interface;
  disk.is_used = interface != "none";
  if (!is_interface(interface)) {
    disk.notes.push_back({"-drive if=" + interface, disk.line, std::string(advice::kUnknownValue)});
  }
  disk.cache = cache_of(options, "");
  disk.discard = options.text("discard");
  disk.serial = options.text("serial");
  disk.throwaway = options.is_on("snapshot");
  read_index(options, disk);
  read_throttle(options, disk);
  set_path(disk, std::move(path));
  options.drop_places();
  options.needs_no_key("-drive", guest,
                       {"aio", "detect-zeroes", "werror", "rerror", "copy-on-read",
                        "cache.writeback", "auto-read-only", "file.locking", "l2-cache-size",
                        "cache-size", "file.driver", "file.aio", "rotation-rate"});
  options.tell_rest("-drive", disk.notes);
  add(parts, std::move(disk));
}

void order_drives(QemuParts& parts) {
  auto& disks = parts.guest.disks;
  for (const std::string_view bus : {"ide", "scsi"}) {
    std::vector<std::size_t> places;
    for (std::size_t i = parts.first_disk; i < disks.size(); ++i) {
      if (disks[i].index && disks[i].bus == bus) {
        places.push_back(i);
      }
    }
    std::vector<ForeignDisk> sorted;
    for (const auto place : places) {
      sorted.push_back(disks[place]);
    }
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& one, const auto& other) { return *one.index < *other.index; });
    for (std::size_t i = 0; i < places.size(); ++i) {
      disks[places[i]] = std::move(sorted[i]);
    }
  }
  for (std::size_t i = parts.first_disk; i < disks.size(); ++i) {
    if (!disks[i].boot_order) {
      disks[i].boot_order = (disks[i].cdrom ? kCdromsByDefault : kByDefault) + i;
    }
  }
}

void use_flash(QemuParts& parts, const std::string& node, std::size_t number, std::size_t line) {
  const auto disk = disk_of_node(parts, node);
  auto& notes = parts.guest.notes["boot"];
  if (disk) {
    notes.insert(notes.end(), disk->notes.begin(), disk->notes.end());
  }
  if (!disk || disk->path.empty()) {
    parts.guest.note("boot", fmt::format("-machine pflash{}={}", number, node), line,
                     "its -blockdev is not in this text, or no file: name boot.firmware and "
                     "boot.vars by hand");
    return;
  }
  parts.flash = number;
  add_flash(parts, disk->path, disk->read_only, line);
  parts.guest.needs_no_key(fmt::format("pflash{} of format {} with cache {} and discard {}", number,
                                       disk->format, disk->cache.empty() ? "unset" : disk->cache,
                                       disk->discard.empty() ? "unset" : disk->discard));
}

void use_drive(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string id = options.text("drive");
  auto& disks = parts.guest.disks;
  if (auto block = disk_of_node(parts, id)) {
    add(parts, std::move(*block));
  }
  const auto disk = std::find_if(disks.begin(), disks.end(), [&](const ForeignDisk& other) {
    return !id.empty() && other.drive == id;
  });
  const std::string what = "-device " + driver;
  if (disk != disks.end()) {
    read_disk_device(parts, driver, options, *disk);
    options.tell_rest(what, disk->notes);
  } else if (id.empty() && driver.ends_with("-cd")) {
    parts.guest.needs_no_key(what + ", an empty CD drive");
    options.drop_places();
    options.rest_needs_no_key(what, parts.guest);
  } else {
    parts.guest.note("", "-device " + options.argument(), options.line(),
                     "its drive is not in this text: add a [[disk]] with the file's path");
  }
}

}  // namespace gpuvm::convert
