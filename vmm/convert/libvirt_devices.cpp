// SPDX-License-Identifier: Apache-2.0
// <devices> of a domain.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostOfAKind = 128;

struct ElementAdvice {
  std::string_view name;
  std::string_view advice;  ///< empty: gpuvm does it by itself
};

constexpr ElementAdvice kAdvice[] = {
    {"tpm", advice::kTpm},
    {"sound", advice::kSound},
    {"audio", advice::kSound},
    {"graphics", advice::kRemote},
    {"input", advice::kInput},
    {"hub", advice::kUsb},
    {"redirdev", advice::kUsbDevice},
    {"redirfilter", advice::kUsbDevice},
    {"smartcard", advice::kUsbDevice},
    {"watchdog", advice::kWatchdog},
    {"iommu", advice::kIommu},
    {"memory", advice::kHotPlug},
    {"parallel", advice::kPort},
    {"lease", "gpuvm locks the files of its disks itself, on this host only"},
    {"shmem", "there is no memory shared with other guests: programs talk by [vsock] or a [[net]]"},
};

std::string text_of(pugi::xml_node node, const char* attribute) {
  return node.attribute(attribute).value();
}

void read_controller(DomainParts& parts, pugi::xml_node node) {
  const std::string type = text_of(node, "type");
  if (type == "usb" && text_of(node, "model") != "none") {
    tell(parts, "", node, advice::kUsb);
  } else if (type == "ccid") {
    tell(parts, "", node, advice::kUsbDevice);
  } else if (type == "xenbus") {
    tell(parts, "", node, advice::kUnknown);
  }  // ports, and what disks and consoles hang on: by itself
}

void read_balloon(DomainParts& parts, pugi::xml_node node) {
  if (text_of(node, "model") != "none") {
    tell(parts, "", node, advice::kBalloon);
  }
}

void read_video(DomainParts& parts, pugi::xml_node node) {
  const auto model = node.child("model");
  if (text_of(model, "type") != "none") {
    parts.guest.note("", fmt::format("<video>{}", shown_element(model)), parts.xml.line_of(node),
                     advice::kScreen);
    parts.told.insert(node.offset_debug());
  }
}

/// As console.serial has it; nothing and a note for what it has not.
std::optional<std::string> place_of(DomainParts& parts, pugi::xml_node node) {
  const std::string type = text_of(node, "type");
  const auto source = node.child("source");
  const std::string path = text_of(source, "path");
  if (type == "pty" || type == "stdio") {
    return type;
  }
  if (type == "null") {
    return "";
  }
  if ((type == "file" || type == "unix") && !path.empty()) {
    return (type == "file" ? "file:" : "socket:") + path;
  }
  if (type == "file" || type == "unix") {
    tell_alone(parts, "console", node, "it has no path: write console.serial by hand");
  } else {
    tell(parts, "console", node, advice::kPort);
  }
  return std::nullopt;
}

void read_serial(DomainParts& parts, pugi::xml_node node) {
  const auto place = place_of(parts, node);
  auto& serial = parts.guest.serial;
  if (place && serial) {
    tell(parts, "console", node,
         "there is one serial port: the first is taken; [console] virtio is "
         "a second console");
  } else if (place) {
    serial = place->empty() ? std::vector<std::string>() : std::vector<std::string>{*place};
  }
}

/// <console> is the first <serial> once more, or a virtio console.
void read_console(DomainParts& parts, pugi::xml_node node) {
  const bool is_virtio = text_of(node.child("target"), "type") == "virtio";
  if (!is_virtio) {
    if (!parts.guest.serial) {
      read_serial(parts, node);
    } else {
      // It is the serial port.
      parts.guest.needs_no_key(shown_element(node) + shown_element(node.child("source")));
    }
    return;
  }
  const auto place = place_of(parts, node);
  if (place && !place->empty() && parts.guest.virtio_console.empty()) {
    parts.guest.virtio_console = {*place};
  } else if (place && !place->empty()) {
    tell(parts, "console", node, "there is one virtio console: the first is taken");
  }
}

void read_panic(DomainParts& parts, pugi::xml_node) {
  parts.guest.pvpanic = true;
}

void read_vsock(DomainParts& parts, pugi::xml_node node) {
  parts.guest.has_vsock = true;
  const auto cid = node.child("cid");
  if (is_on(parts, cid, "auto")) {
    parts.guest.needs_no_key(shown_element(cid));
  } else {
    parts.guest.cid = number_in(parts, cid, "address");
  }
}

void read_channel(DomainParts& parts, pugi::xml_node node) {
  const std::string name = text_of(node.child("target"), "name");
  if (name == "org.gpuvm.status") {
    parts.guest.status_port = true;
    return;
  }
  parts.guest.note("", shown_element(node) + shown_element(node.child("target")),
                   parts.xml.line_of(node), advice::kGuestPort);
  parts.told.insert(node.offset_debug());
}

void read_filesystem(DomainParts& parts, pugi::xml_node node) {
  ForeignShare share;
  share.line = parts.xml.line_of(node);
  share.what = shown_element(node);
  share.path = text_of(node.child("source"), "dir");
  share.tag = text_of(node.child("target"), "dir");
  share.read_only = !node.child("readonly").empty();
  if (text_of(node.child("driver"), "type") != "virtiofs") {
    share.notes.push_back({shown_element(node) + shown_element(node.child("driver")), share.line,
                           std::string(advice::kNineP)});
  }
  for (const auto* const name : {"binary", "idmap"}) {
    if (const auto child = node.child(name)) {
      tell_among(parts, share.notes, child, advice::kShareRoot);
    }
  }
  std::string what = share.what;
  parts.guest.add(parts.guest.shares, kMostOfAKind, std::move(share), std::move(what));
}

struct DeviceReader {
  std::string_view name;
  void (*read)(DomainParts&, pugi::xml_node);
};

constexpr DeviceReader kReaders[] = {
    {"disk", read_disk},          {"interface", read_interface},
    {"hostdev", read_hostdev},    {"controller", read_controller},
    {"memballoon", read_balloon}, {"video", read_video},
    {"serial", read_serial},      {"console", read_console},
    {"panic", read_panic},        {"vsock", read_vsock},
    {"channel", read_channel},    {"filesystem", read_filesystem},
};

/// <iotune>: all of it in one second, reads and writes together; the rest is told.
void read_limits(DomainParts& parts, pugi::xml_node limits, ForeignDisk& disk) {
  for (const auto limit : limits.children()) {
    if (limit.type() != pugi::node_element) {
      continue;
    }
    const std::string_view name = limit.name();
    const auto number = number_of(limit.text().get());
    const bool is_known = name == "total_iops_sec" || name == "total_bytes_sec";
    if (number && is_known) {
      (name == "total_iops_sec" ? disk.iops : disk.bandwidth) = *number;
    } else {
      tell_among(parts, disk.notes, limit, is_known ? advice::kUnknownValue : advice::kThrottle);
    }
  }
}

void read_disk_driver(DomainParts& parts, pugi::xml_node node, ForeignDisk& disk) {
  const auto driver = node.child("driver");
  disk.format = text_of(driver, "type");
  if (disk.format.empty()) {
    disk.format = "raw";  // libvirt's default
    if (disk.path.ends_with(".qcow2")) {
      disk.notes.push_back({disk.what, disk.line,
                            "libvirt takes an image without a type as raw: format = \"qcow2\" "
                            "where qemu-img info says so"});
    }
  }
  disk.cache = text_of(driver, "cache");
  disk.discard = text_of(driver, "discard");
  disk.queues = number_in(parts, driver, "queues");
  read_limits(parts, node.child("iotune"), disk);
}

/// "<source protocol='rbd' name='a'><host name='b'>": an element and what is right below it.
std::string shown_with_children(pugi::xml_node node) {
  std::string text = shown_element(node);
  for (const auto child : node.children()) {
    text += child.type() == pugi::node_element ? shown_element(child) : "";
  }
  return text;
}

/// What may be at a disk and has no key.
void tell_at_disk(DomainParts& parts, pugi::xml_node node, ForeignDisk& disk) {
  struct AtDisk {
    const char* name;
    std::string_view advice;
  };
  constexpr std::string_view kEncrypted =
      "encrypted images are not opened: open it on the host (cryptsetup), or in the guest";
  static constexpr AtDisk kAtDisk[] = {
      {"encryption", kEncrypted},
      {"shareable", "two guests may have an image only if both only read it: readonly = true"},
      {"mirror", "a job of libvirt's is under way: end it first (virsh blockjob)"},
      {"auth", advice::kRemoteDisk},
      {"throttlefilters", advice::kThrottle}};
  for (const auto& one : kAtDisk) {
    for (const auto place : {node, node.child("source")}) {
      if (const auto child = place.child(one.name)) {
        tell_among(parts, disk.notes, child, one.advice);
      }
    }
  }
}

}  // namespace

bool read_device(DomainParts& parts, pugi::xml_node node) {
  const std::string_view name = node.name();
  const auto* const reader =
      std::find_if(std::begin(kReaders), std::end(kReaders),
                   [&](const DeviceReader& one) { return one.name == name; });
  if (reader != std::end(kReaders)) {
    reader->read(parts, node);
    return true;
  }
  if (name == "memory" && !parts.guest.is_whole) {
    return false;
  }
  const auto* const found =
      std::find_if(std::begin(kAdvice), std::end(kAdvice),
                   [&](const ElementAdvice& one) { return one.name == name; });
  if (found == std::end(kAdvice)) {
    return false;
  }
  if (text_of(node, "model") != "none") {
    tell(parts, "", node, found->advice);
  }
  return true;
}

void read_disk(DomainParts& parts, pugi::xml_node node) {
  ForeignDisk disk;
  disk.line = parts.xml.line_of(node);
  const auto source = node.child("source");
  const std::string kind = text_of(node, "device");
  for (const auto* const name : {"file", "dev"}) {
    disk.path = disk.path.empty() ? text_of(source, name) : disk.path;
  }
  disk.what = "disk " + disk.path;
  disk.cdrom = kind == "cdrom";
  if (!kind.empty() && kind != "disk" && kind != "cdrom") {
    tell(parts, "", node,
         kind == "floppy" ? advice::kFloppy
                          : "there are no SCSI disks: give the block device as a [[disk]]");
    return;
  }
  if (disk.path.empty() && !source) {
    tell_alone(parts, "", node,
               disk.cdrom ? "an empty CD drive: there is none; give an image as a [[disk]] with "
                            "readonly = true"
                          : "it has no source: give an image as a [[disk]]");
    return;
  }
  if (disk.path.empty()) {
    tell(parts, "", node,
         text_of(node, "type") == "nvme"
             ? "QEMU drives this NVMe disk itself: here its controller goes to the guest as a "
               "whole, as [[pci]] with the address of its <source>"
             : advice::kRemoteDisk);
    parts.guest.note("", shown_with_children(source), parts.xml.line_of(source),
                     "this is where the disk was");
    return;
  }
  read_disk_driver(parts, node, disk);
  tell_at_disk(parts, node, disk);
  disk.bus = text_of(node.child("target"), "bus");
  disk.serial = trimmed(node.child("serial").text().get());
  disk.read_only = !node.child("readonly").empty();
  disk.throwaway = !node.child("transient").empty();
  disk.boot_order = number_in(parts, node.child("boot"), "order");
  std::string what = disk.what;
  parts.guest.add(parts.guest.disks, kMostOfAKind, std::move(disk), std::move(what));
}

}  // namespace gpuvm::convert
