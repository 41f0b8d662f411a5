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
    {"emulator", ""},
    {"rng", ""},
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
    {"nvram", ""},
    {"lease", "gpuvm locks the files of its disks itself, on this host only"},
    {"shmem", "there is no memory shared with other guests: programs talk by [vsock] or a [[net]]"},
    {"crypto", advice::kUnknown},
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
    parts.guest.note("", fmt::format("<video {}>", text_of(model, "type")), parts.xml.line_of(node),
                     advice::kScreen);
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
  tell(parts, "console", node, advice::kPort);
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
    }
    return;
  }
  const auto place = place_of(parts, node);
  if (place && !place->empty() && parts.guest.virtio_console.empty()) {
    parts.guest.virtio_console = {*place};
  }
}

void read_panic(DomainParts& parts, pugi::xml_node) {
  parts.guest.pvpanic = true;
}

void read_vsock(DomainParts& parts, pugi::xml_node node) {
  parts.guest.has_vsock = true;
  const auto cid = node.child("cid");
  if (text_of(cid, "auto") != "yes") {
    parts.guest.cid = number_of(text_of(cid, "address"));
  }
}

void read_channel(DomainParts& parts, pugi::xml_node node) {
  const std::string name = text_of(node.child("target"), "name");
  if (name == "org.gpuvm.status") {
    parts.guest.status_port = true;
    return;
  }
  parts.guest.note("", fmt::format("<channel {}>", name), parts.xml.line_of(node),
                   advice::kGuestPort);
}

void read_filesystem(DomainParts& parts, pugi::xml_node node) {
  ForeignShare share;
  share.line = parts.xml.line_of(node);
  share.what = shown_element(node);
  share.path = text_of(node.child("source"), "dir");
  share.tag = text_of(node.child("target"), "dir");
  share.read_only = !node.child("readonly").empty();
  if (text_of(node.child("driver"), "type") != "virtiofs") {
    share.notes.push_back({share.what, share.line, std::string(advice::kNineP)});
  } else if (node.child("binary") || node.child("idmap")) {
    share.notes.push_back({share.what, share.line, std::string(advice::kShareRoot)});
  }
  if (parts.guest.shares.size() < kMostOfAKind) {
    parts.guest.shares.push_back(std::move(share));
  }
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

void read_disk_driver(pugi::xml_node node, ForeignDisk& disk) {
  const auto driver = node.child("driver");
  disk.format = text_of(driver, "type");
  if (disk.format.empty()) {
    disk.format = "raw";  // libvirt's default
  }
  disk.cache = text_of(driver, "cache");
  disk.discard = text_of(driver, "discard");
  disk.queues = number_of(text_of(driver, "queues"));
  const auto limits = node.child("iotune");
  disk.iops = number_of(limits.child("total_iops_sec").text().get()).value_or(0);
  disk.bandwidth = number_of(limits.child("total_bytes_sec").text().get()).value_or(0);
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
  if (!found->advice.empty() && text_of(node, "model") != "none") {
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
  if (kind == "floppy") {
    tell(parts, "", node, advice::kFloppy);
    return;
  }
  if (disk.path.empty() && disk.cdrom) {
    tell(parts, "", node,
         "an empty CD drive: there is none; give an image as a [[disk]] with readonly "
         "= true");
    return;
  }
  if (disk.path.empty()) {
    tell(parts, "", node, advice::kRemoteDisk);
    return;
  }
  read_disk_driver(node, disk);
  disk.bus = text_of(node.child("target"), "bus");
  disk.serial = trimmed(node.child("serial").text().get());
  disk.read_only = !node.child("readonly").empty();
  disk.throwaway = !node.child("transient").empty();
  disk.boot_order = number_of(text_of(node.child("boot"), "order"));
  if (node.child("encryption") || source.child("encryption")) {
    disk.notes.push_back(
        {disk.what, disk.line,
         "encrypted images are not opened: open it on the host (cryptsetup), or in "
         "the guest"});
  }
  if (parts.guest.disks.size() < kMostOfAKind) {
    parts.guest.disks.push_back(std::move(disk));
  }
}

}  // namespace gpuvm::convert
