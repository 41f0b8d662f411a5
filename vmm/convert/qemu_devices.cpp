// SPDX-License-Identifier: Apache-2.0
// -device of a QEMU command line.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostFunctions = 128;
constexpr std::size_t kMostFolders = 64;

struct DeviceAdvice {
  std::string_view driver;  ///< with "*" at its end: all that begin so
  std::string_view advice;  ///< empty: gpuvm does it by itself
};

constexpr DeviceAdvice kDevices[] = {
    {"pcie-root-port", ""},
    {"ioh3420", ""},
    {"pxb-pcie", ""},  // a GPU's root port is near the node of the guest that has its memory
    {"pxb", ""},
    {"xio3130-upstream", ""},
    {"upstream-port", ""},
    {"downstream-port", ""},
    {"dmi-to-pci-bridge", ""},
    {"pcie-pci-bridge", ""},
    {"pci-bridge", ""},
    {"i82801b11-bridge", ""},
    {"x3130-upstream", ""},
    {"xio3130-downstream", ""},
    {"virtio-rng*", ""},
    {"virtio-scsi*", ""},
    {"virtio-serial*", ""},
    {"ahci", ""},
    {"ich9-ahci", ""},
    {"megasas*", ""},
    {"mptsas*", ""},
    {"pvscsi", ""},
    {"virtio-pmem*", "a file as persistent memory becomes a [[disk]] here"},
    {"nvdimm", "a file as persistent memory becomes a [[disk]] here"},
    {"isa-applesmc", advice::kNoApple},
    {"ccid-card*", advice::kUsbDevice},
    {"pci-ohci", advice::kUsb},
    {"vhost-user-gpu*", advice::kScreen},
    {"vhost-user-vga", advice::kScreen},
    {"vhost-user-input*", advice::kInput},
    {"vhost-user-scsi*", advice::kUnknownServer},
    {"vhost-user-blk*", advice::kUnknownServer},
    {"vhost-user-vsock*", "there is [vsock], by the kernel's vhost-vsock"},
    {"vhost-user-*", advice::kUnknownServer},
    {"vhost-scsi*", "there are no SCSI disks: give the image or block device as a [[disk]]"},
    {"virtio-crypto*", advice::kUnknown},
    {"edu", advice::kUnknown},
    {"lsi*", ""},
    {"virtio-balloon*", advice::kBalloon},
    {"virtio-mem*", advice::kHotPlug},
    {"pc-dimm", advice::kHotPlug},
    {"tpm-*", advice::kTpm},
    {"usb-host", advice::kUsbDevice},
    {"usb-redir", advice::kUsbDevice},
    {"usb-kbd", advice::kInput},
    {"usb-mouse", advice::kInput},
    {"usb-tablet", advice::kInput},
    {"virtio-keyboard*", advice::kInput},
    {"virtio-mouse*", advice::kInput},
    {"virtio-tablet*", advice::kInput},
    {"virtio-input*", advice::kInput},
    {"usb-audio", advice::kSound},
    {"sb16", advice::kSound},
    {"ES1370", advice::kSound},
    {"es1370", advice::kSound},
    {"ac97", advice::kSound},
    {"usb-storage", "there is no emulated USB: give the image as a [[disk]]"},
    {"usb-*", advice::kUsb},
    {"qemu-xhci", advice::kUsb},
    {"nec-usb-xhci", advice::kUsb},
    {"ich9-usb*", advice::kUsb},
    {"piix3-usb*", advice::kUsb},
    {"piix4-usb*", advice::kUsb},
    {"intel-hda", advice::kSound},
    {"ich9-intel-hda", advice::kSound},
    {"hda-*", advice::kSound},
    {"AC97", advice::kSound},
    {"virtio-sound*", advice::kSound},
    {"VGA", advice::kScreen},
    {"secondary-vga", advice::kScreen},
    {"qxl*", advice::kScreen},
    {"bochs-display", advice::kScreen},
    {"ramfb", advice::kScreen},
    {"virtio-gpu*", advice::kScreen},
    {"virtio-vga*", advice::kScreen},
    {"vmware-svga", advice::kScreen},
    {"cirrus-vga", advice::kScreen},
    {"i6300esb", advice::kWatchdog},
    {"ib700", advice::kWatchdog},
    {"intel-iommu", advice::kIommu},
    {"amd-iommu", advice::kIommu},
    {"virtio-iommu*", advice::kIommu},
    {"virtserialport", advice::kGuestPort},
    {"spicevmc", advice::kGuestPort},
    {"vmgenid", advice::kSmbios},
    {"isa-fdc", advice::kFloppy},
    {"floppy", advice::kFloppy},
    {"ivshmem*",
     "there is no memory shared with other guests: programs talk by [vsock] or a "
     "[[net]]"},
    {"vmcoreinfo", "there is no vmcoreinfo: kdump in the guest writes its own"},
};

std::string_view advice_of(std::string_view driver) {
  for (const auto& one : kDevices) {
    const bool is_start = one.driver.ends_with('*');
    const auto name = one.driver.substr(0, one.driver.size() - (is_start ? 1 : 0));
    if (is_start ? driver.starts_with(name) : driver == name) {
      return one.advice;
    }
  }
  return advice::kUnknown;
}

/// The address at the end of "/sys/bus/pci/devices/0000:01:00.0".
std::string host_of(OptionList& options) {
  const std::string host = options.text("host");
  const std::string path = options.text("sysfsdev");
  return host.empty() ? path.substr(path.rfind('/') + 1) : host;
}

/// All that is left; the last of several counts.
void set_properties(OptionList& options, ForeignFunction& function) {
  for (auto& [name, value] : options.take_rest()) {
    const auto [at, is_new] = function.properties.try_emplace(name, value);
    if (!is_new && at->second != value) {
      function.notes.push_back({fmt::format("{}={}", name, at->second), function.line,
                                "it is there more than once: the last one counts"});
      at->second = value;
    }
  }
  options.tell_rest("-device", function.notes);
}

void add_function(QemuParts& parts, OptionList options) {
  ForeignFunction function;
  function.line = options.line();
  const std::string host = host_of(options);
  const auto address = qemu_address(host);
  if (!address) {
    const bool is_mdev = host.size() == 36;
    parts.guest.note("", "-device " + options.argument(), options.line(),
                     is_mdev ? advice::kMdev
                             : "this is no address of a function: write a [[pci]] with host = "
                               "\"0000:01:00.0\", as lspci -D prints it");
    return;
  }
  function.host = *address;
  function.id = options.text("id");
  const std::string bus = options.text("bus");
  const bool is_root = bus == "pcie.0" || bus == "pci.0" || bus == "pcie" || bus == "root";
  function.bus = is_root ? "" : bus;
  set_properties(options, function);
  parts.guest.add(parts.guest.functions, kMostFunctions, std::move(function),
                  "-device vfio-pci host=" + host);
}

void add_remote_function(QemuParts& parts, OptionList options) {
  ForeignFunction function;
  function.line = options.line();
  function.socket = options.text("socket", "socket.path");
  function.id = options.text("id");
  const std::string kind = options.text("socket.type");
  if (function.socket.empty() || (!kind.empty() && kind != "unix")) {
    parts.guest.note("", "-device " + options.argument(), options.line(),
                     "its server has no socket of the host here: write a [[pci]] with socket = "
                     "\"PATH\"");
    return;
  }
  options.drop_places();
  set_properties(options, function);
  parts.guest.add(parts.guest.functions, kMostFunctions, std::move(function),
                  "-device " + options.argument());
}

void add_share(QemuParts& parts, const std::string& driver, OptionList options) {
  ForeignShare share;
  share.line = options.line();
  share.what = "-device " + driver;
  share.tag = options.text("tag", "mount-tag");
  const std::string id = options.text("fsdev");
  const auto folder = parts.folders.find(id);
  if (folder != parts.folders.end()) {
    folder->second.is_used = true;
    share.path = folder->second.path;
    share.read_only = folder->second.read_only;
    share.notes = folder->second.notes;
    share.notes.push_back({share.what, share.line, std::string(advice::kNineP)});
  } else {
    const std::string server = options.text("chardev");
    const auto chardev = parts.chardevs.find(server);
    if (chardev != parts.chardevs.end()) {
      chardev->second.is_used = true;
    }
    share.notes.push_back(
        {fmt::format("{} at {}", share.what,
                     chardev == parts.chardevs.end() ? server + id : chardev->second.argument),
         share.line,
         "the folder is in virtiofsd's own command line (--shared-dir): name it "
         "as path, and do not start virtiofsd: gpuvm does"});
  }
  options.drop_places();
  options.needs_no_key(share.what, parts.guest,
                       {"queue-size", "num-request-queues", "ats", "iommu-platform", "packed",
                        "cache-size", "disable-legacy", "disable-modern"});
  options.tell_rest(share.what, share.notes);
  parts.guest.add(parts.guest.shares, kMostFolders, std::move(share),
                  "-device " + options.argument());
}

bool is_network_card(std::string_view driver) {
  static constexpr std::string_view kCards[] = {"virtio-net", "e1000", "rtl8139", "vmxnet3", "igb",
                                                "ne2k",       "pcnet", "i825",    "tulip"};
  return std::any_of(std::begin(kCards), std::end(kCards),
                     [&](std::string_view card) { return driver.starts_with(card); });
}

bool is_disk(std::string_view driver) {
  static constexpr std::string_view kDisks[] = {"virtio-blk", "scsi-hd", "scsi-cd",   "scsi-block",
                                                "ide-hd",     "ide-cd",  "ide-drive", "nvme"};
  return std::any_of(std::begin(kDisks), std::end(kDisks),
                     [&](std::string_view disk) { return driver.starts_with(disk); });
}

void add_debug_console(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string id = options.text("chardev");
  const auto found = parts.chardevs.find(id);
  const bool is_file = found != parts.chardevs.end() && found->second.place.starts_with("file:");
  if (is_file) {
    found->second.is_used = true;
    parts.guest.firmware_log = found->second.place.substr(5);
  } else {
    parts.guest.note("boot", fmt::format("-device {} at {}", driver, id), options.line(),
                     "boot.firmware_log is a file, to which the firmware prints");
  }
  options.drop_places();
  options.needs_no_key("-device " + driver, parts.guest, {"iobase"});
  options.tell_rest("-device " + driver, parts.guest.notes["boot"]);
}

void add_vsock(QemuParts& parts, const std::string& driver, OptionList options) {
  parts.guest.has_vsock = true;
  parts.guest.cid = options.number("guest-cid");
  options.drop_places();
  options.needs_no_key(
      "-device " + driver, parts.guest,
      {"vhostfd", "disable-legacy", "disable-modern", "iommu-platform", "ats", "packed"});
  options.tell_rest("-device " + driver, parts.guest.notes["vsock"]);
}

/// A named port: gpuvm's own is the guest's word, others are told.
void add_port(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string name = options.text("name");
  const std::string id = options.text("chardev");
  const auto chardev = parts.chardevs.find(id);
  if (chardev != parts.chardevs.end()) {
    chardev->second.is_used = true;
  }
  if (name == "org.gpuvm.status") {
    parts.guest.status_port = true;
    parts.guest.needs_no_key(
        fmt::format("-device {} at {}", driver,
                    chardev == parts.chardevs.end() ? id : chardev->second.argument));
    return;
  }
  parts.guest.note("",
                   fmt::format("-device {}{}{}", options.argument(),
                               chardev == parts.chardevs.end() ? "" : " at ",
                               chardev == parts.chardevs.end() ? "" : chardev->second.argument),
                   options.line(), advice::kGuestPort);
}

/// Devices that set one key of [test].
bool is_switch(QemuParts& parts, const std::string& driver, OptionList& options) {
  ForeignGuest& guest = parts.guest;
  if (driver.starts_with("pvpanic")) {
    guest.pvpanic = true;
  } else if (driver == "isa-debug-exit") {
    guest.exit_port = true;
    if (const auto port = options.number("iobase"); port && *port != 0xf4) {
      guest.note("test", fmt::format("{} iobase={:#x}", driver, *port), options.line(),
                 "the port is 0xf4 here");
    }
  } else {
    return false;
  }
  options.drop_places();
  options.needs_no_key("-device " + driver, guest, {"iosize", "ioport", "events"});
  options.tell_rest("-device " + driver, guest.notes["test"]);
  return true;
}

/// All that has no key, by the table.
void tell_device(QemuParts& parts, const std::string& driver, OptionList options) {
  const auto advice = advice_of(driver);
  if (advice == advice::kNoApple) {
    parts.guest.hinder("-device " + options.argument(), options.line(), advice);
  } else if (!advice.empty()) {
    parts.guest.note("", "-device " + options.argument(), options.line(), advice);
  } else {
    parts.guest.needs_no_key("-device " + driver);
    options.drop_places();
    options.rest_needs_no_key("-device " + driver, parts.guest);
    options.tell_rest("-device " + driver, parts.guest.notes[""]);
  }
}

}  // namespace

void add_device(QemuParts& parts, OptionList options) {
  const std::string driver = options.text("driver");
  if (driver == "vfio-pci" || driver == "vfio-pci-nohotplug" || driver == "pci-assign" ||
      driver == "kvm-pci-assign") {  // KVM's own assignment, before VFIO
    add_function(parts, std::move(options));
  } else if (driver == "vfio-user-pci") {
    add_remote_function(parts, std::move(options));
  } else if (is_disk(driver)) {
    use_drive(parts, driver, std::move(options));
  } else if (is_network_card(driver)) {
    use_netdev(parts, driver, std::move(options));
  } else if (driver.starts_with("vhost-user-fs") || driver.starts_with("virtio-9p")) {
    add_share(parts, driver, std::move(options));
  } else if (driver == "virtconsole" || driver == "isa-serial" || driver == "pci-serial") {
    add_console(parts, driver, std::move(options));
  } else if (driver == "virtserialport") {
    add_port(parts, driver, std::move(options));
  } else if (driver == "isa-debugcon") {
    add_debug_console(parts, driver, std::move(options));
  } else if (driver.starts_with("vhost-vsock")) {
    add_vsock(parts, driver, std::move(options));
  } else if (!is_switch(parts, driver, options)) {
    tell_device(parts, driver, std::move(options));
  }
}

}  // namespace gpuvm::convert
