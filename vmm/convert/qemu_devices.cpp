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

struct DeviceAdvice {
  std::string_view driver;  ///< with "*" at its end: all that begin so
  std::string_view advice;  ///< empty: gpuvm does it by itself
};

constexpr DeviceAdvice kDevices[] = {
    {"pcie-root-port", ""},
    {"ioh3420", ""},
    {"pxb-pcie", ""},
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

void add_function(QemuParts& parts, OptionList options) {
  ForeignFunction function;
  function.line = options.line();
  const std::string host = host_of(options);
  const auto address = Bdf::parse(host);
  if (!address) {
    const bool is_mdev = host.size() == 36;
    parts.guest.note("", "-device vfio-pci host=" + host, options.line(),
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
  for (const auto& [name, value] : options.rest()) {
    function.properties[name] = value;
  }
  if (parts.guest.functions.size() < kMostFunctions) {
    parts.guest.functions.push_back(std::move(function));
  }
}

void add_remote_function(QemuParts& parts, OptionList options) {
  ForeignFunction function;
  function.line = options.line();
  function.socket = options.text("socket", "socket.path");
  function.id = options.text("id");
  options.skip({"bus", "addr", "socket.type"});
  for (const auto& [name, value] : options.rest()) {
    function.properties[name] = value;
  }
  if (parts.guest.functions.size() < kMostFunctions && !function.socket.empty()) {
    parts.guest.functions.push_back(std::move(function));
  }
}

void add_share(QemuParts& parts, const std::string& driver, OptionList options) {
  ForeignShare share;
  share.line = options.line();
  share.what = "-device " + driver;
  share.tag = options.text("tag", "mount-tag");
  const auto folder = parts.folders.find(options.text("fsdev"));
  if (folder != parts.folders.end()) {
    share.path = folder->second;
    share.notes.push_back({share.what, share.line, std::string(advice::kNineP)});
  } else {
    share.notes.push_back({share.what, share.line,
                           "the folder is in virtiofsd's own command line (--shared-dir): name it "
                           "as path, and do not start virtiofsd: gpuvm does"});
  }
  if (parts.guest.shares.size() < 64) {
    parts.guest.shares.push_back(std::move(share));
  }
}

void add_console(QemuParts& parts, const std::string& driver, OptionList options) {
  const auto found = parts.chardevs.find(options.text("chardev"));
  if (found == parts.chardevs.end() || found->second.empty()) {
    return;
  }
  if (driver == "virtconsole") {
    parts.guest.virtio_console.push_back(found->second);
  } else if (!parts.guest.serial || parts.guest.serial->empty()) {
    parts.guest.serial = std::vector<std::string>{found->second};
  } else {
    parts.guest.note("console", "-device " + driver, options.line(),
                     "there is one serial port: the first is taken");
  }
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

/// Devices that set one key.
bool is_switch(QemuParts& parts, const std::string& driver, OptionList& options) {
  ForeignGuest& guest = parts.guest;
  if (driver.starts_with("pvpanic")) {
    guest.pvpanic = true;
  } else if (driver == "isa-debug-exit") {
    guest.exit_port = true;
    if (const auto port = number_of(options.text("iobase")); port && *port != 0xf4) {
      guest.note("test", driver, options.line(), "the port is 0xf4 here");
    }
  } else if (driver == "isa-debugcon") {
    const auto found = parts.chardevs.find(options.text("chardev"));
    const bool is_file = found != parts.chardevs.end() && found->second.starts_with("file:");
    guest.firmware_log = is_file ? found->second.substr(5) : guest.firmware_log;
  } else if (driver.starts_with("vhost-vsock")) {
    guest.has_vsock = true;
    guest.cid = number_of(options.text("guest-cid"));
  } else {
    return false;
  }
  return true;
}

}  // namespace

void add_device(QemuParts& parts, OptionList options) {
  const std::string driver = options.text("driver");
  if (driver == "vfio-pci" || driver == "vfio-pci-nohotplug") {
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
  } else if (!is_switch(parts, driver, options)) {
    const auto advice = advice_of(driver);
    if (!advice.empty()) {
      parts.guest.note("", "-device " + driver, options.line(), advice);
    }
  }
}

}  // namespace gpuvm::convert
