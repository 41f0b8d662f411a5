// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/upstream_port.hpp"

#include <algorithm>
#include <array>
#include <thread>

#include "vmm/base/bytes.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

// PCI Express Base 6.0, 7.5.1 and 7.5.3.
constexpr std::size_t kConfigSize = 256;
constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kFirstCapability = 0x34;
constexpr std::uint8_t kExpressId = 0x10;
constexpr std::size_t kExpressFlags = 0x02;
constexpr std::size_t kLinkCapabilities = 0x0c;
constexpr std::size_t kLinkControl = 0x10;
constexpr std::size_t kLinkStatus = 0x12;
constexpr std::size_t kSlotCapabilities = 0x14;
constexpr std::uint32_t kPortTypeRoot = 4;
constexpr std::uint32_t kPortTypeDownstream = 6;
constexpr std::uint32_t kFlagSlot = 1U << 8;
constexpr std::uint32_t kTellsLinkActive = 1U << 20;  // of the Link Capabilities
constexpr std::uint16_t kRetrainLink = 1U << 5;       // of the Link Control
constexpr std::uint16_t kLinkTraining = 1U << 11;     // of the Link Status
constexpr std::uint16_t kLinkActive = 1U << 13;
constexpr std::uint32_t kPowerController = 1U << 1;  // of the Slot Capabilities

// Linux waits as long (drivers/pci/pci.c, PCIE_LINK_RETRAIN_TIMEOUT_MS).
constexpr milliseconds kTrainingTime{1000};
constexpr milliseconds kTrainingPause{10};

// QEMU's root and switch ports: power off means to them that the device is to leave for good
// (hw/pci/pcie.c, pcie_cap_slot_write_config()).
constexpr std::uint32_t kVendorOfQemu = 0x1b36;

constexpr std::string_view kSlots = "/sys/bus/pci/slots";

std::uint32_t load(const std::vector<std::byte>& config, std::size_t offset, std::size_t size) {
  return offset + size <= config.size()
             ? static_cast<std::uint32_t>(load_le(std::span(config).subspan(offset, size)))
             : 0;
}

/// 0: there is none. The chain may be nonsense, of a port that does not answer.
std::size_t find_express(const std::vector<std::byte>& config) {
  std::size_t at = load(config, kFirstCapability, 1) & 0xfcU;
  for (std::size_t left = kConfigSize / 4; left > 0 && at >= kHeaderSize; --left) {
    if (load(config, at, 1) == kExpressId) {
      return at;
    }
    at = load(config, at + 1, 1) & 0xfcU;
  }
  return 0;
}

/// "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0" is below 0000:00:01.0.
std::optional<Bdf> parent_of(const HostSystem& host, const Bdf& bdf) {
  const auto link = host.link_text(pci_sysfs_path(bdf)).value_or("");
  const auto last = link.find_last_of('/');
  if (last == std::string::npos || last == 0) {
    return std::nullopt;
  }
  const auto before = link.find_last_of('/', last - 1);
  const auto name = before == std::string::npos ? "" : link.substr(before + 1, last - before - 1);
  const auto parent = Bdf::parse(name);
  return parent ? std::optional(*parent) : std::nullopt;
}

}  // namespace

void sleep_for_real(milliseconds time) {
  std::this_thread::sleep_for(time);
}

Result<UpstreamPort> UpstreamPort::above(const HostSystem& host, const Bdf& bdf) {
  const auto parent = parent_of(host, bdf);
  if (!parent) {
    return fail(ErrorKind::kHost, "{} is on a root bus, with no port above it", bdf.to_string());
  }
  const auto config = TRY(host.read_bytes(pci_sysfs_path(*parent, "config"), kConfigSize));
  if (config.size() <= kHeaderSize) {
    return fail(ErrorKind::kHost, "{}, the port above {}, shows its capabilities to root only",
                parent->to_string(), bdf.to_string());
  }
  const std::size_t express = find_express(config);
  const std::uint32_t type = load(config, express + kExpressFlags, 2) >> 4 & 0xfU;
  if (express == 0 || (type != kPortTypeRoot && type != kPortTypeDownstream)) {
    return fail(ErrorKind::kHost, "{}, which is above {}, is no port with a PCI Express link",
                parent->to_string(), bdf.to_string());
  }
  return UpstreamPort(host, *parent, express);
}

std::vector<Bdf> UpstreamPort::functions() const {
  const std::string part = "/" + bdf_.to_string() + "/";
  std::vector<Bdf> below;
  for (const std::string& name : host_->list("/sys/bus/pci/devices")) {
    const auto bdf = Bdf::parse(name);
    if (bdf &&
        host_->link_text(pci_sysfs_path(*bdf)).value_or("").find(part) != std::string::npos) {
      below.push_back(*bdf);
    }
  }
  std::sort(below.begin(), below.end());
  return below;
}

Status UpstreamPort::check_owned(std::span<const Bdf> ours) const {
  std::string strangers;
  for (const Bdf& bdf : functions()) {
    if (std::find(ours.begin(), ours.end(), bdf) == ours.end()) {
      strangers += (strangers.empty() ? "" : ", ") + bdf.to_string();
    }
  }
  if (!strangers.empty()) {
    return fail(ErrorKind::kHost, "{}, which is not ours, is below the port {} too", strangers,
                bdf_.to_string());
  }
  return {};
}

Result<std::uint32_t> UpstreamPort::read(std::size_t offset, std::size_t size) const {
  const auto config = TRY(host_->read_bytes(pci_sysfs_path(bdf_, "config"), kConfigSize));
  if (express_ + offset + size > config.size()) {
    return fail(ErrorKind::kHost, "The port {} does not show its registers", bdf_.to_string());
  }
  return load(config, express_ + offset, size);
}

Status UpstreamPort::await(std::uint16_t mask, std::uint16_t value, std::string_view what,
                           const HostSleep& sleep) const {
  for (milliseconds left = kTrainingTime; left >= milliseconds(0); left -= kTrainingPause) {
    if ((TRY(read(kLinkStatus, 2)) & mask) == value) {
      return {};
    }
    sleep(kTrainingPause);
  }
  return fail(ErrorKind::kHost, "The link below the port {} {} after {} ms", bdf_.to_string(), what,
              kTrainingTime.count());
}

// A training that is under way takes up the old parameters, so it is waited for first, as Linux
// does.
Status UpstreamPort::retrain(const HostSleep& sleep) const {
  TRY(await(kLinkTraining, 0, "is still in training", sleep));
  const auto control = static_cast<std::uint16_t>(TRY(read(kLinkControl, 2)) | kRetrainLink);
  std::array<std::byte, 2> bytes{};
  store_le(bytes, control);
  TRY(host_->write_bytes(pci_sysfs_path(bdf_, "config"), express_ + kLinkControl, bytes));
  TRY(await(kLinkTraining, 0, "is still in training", sleep));
  if ((TRY(read(kLinkCapabilities, 4)) & kTellsLinkActive) != 0) {
    TRY(await(kLinkActive, kLinkActive, "is not up", sleep));
  }
  return {};
}

Result<std::string> UpstreamPort::power_switch(const Bdf& slot) const {
  const bool has_slot = (TRY(read(kExpressFlags, 2)) & kFlagSlot) != 0;
  if (!has_slot || (TRY(read(kSlotCapabilities, 4)) & kPowerController) == 0) {
    return fail(ErrorKind::kHost, "the slot below the port {} has no power controller",
                bdf_.to_string());
  }
  if (host_->read_number(pci_sysfs_path(bdf_, "vendor")) == kVendorOfQemu) {
    return fail(ErrorKind::kHost,
                "the port {} is an emulated one, which unplugs a device whose power goes off",
                bdf_.to_string());
  }
  // "0000:01:00": the kernel names a slot's device without a function.
  const std::string full = slot.to_string();
  const std::string device = full.substr(0, full.find('.'));
  for (const std::string& name : host_->list(kSlots)) {
    const std::string base = fmt::format("{}/{}", kSlots, name);
    const auto address = host_->read(base + "/address");
    if (address && *address == device && host_->exists(base + "/power")) {
      return base + "/power";
    }
  }
  return fail(ErrorKind::kHost,
              "the kernel offers no power switch for {} in {} (the driver pciehp has it)", device,
              kSlots);
}

Status UpstreamPort::rescan() const {
  const std::string path = pci_sysfs_path(bdf_, "rescan");
  if (!TRY(host_->write_within(path, "1", kSlotLimit))) {
    return fail(ErrorKind::kHost,
                "A look for what is below the port {} has not ended within {} s: `dmesg | tail` "
                "may say why",
                bdf_.to_string(), kSlotLimit.count());
  }
  return {};
}

}  // namespace gpuvm
