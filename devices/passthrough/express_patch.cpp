// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/express_patch.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

// 7.5.3.2, in the dword of the capability's header.
constexpr std::uint32_t kTypeMask = 0x00f00000;
constexpr std::uint32_t kTypeIntegrated = 9U << 20;
constexpr std::uint32_t kTypeEndpoint = 0;
constexpr std::uint32_t kVersionMask = 0x000f0000;
constexpr std::uint32_t kFirstVersion = 1U << 16;
/// Of version 1 (PCI Express Base 1.1, 7.8): it ends behind Link Status.
constexpr std::uint16_t kFirstVersionSize = 0x14;
// Link Capabilities, 7.5.3.6.
constexpr std::uint32_t kSpeedMask = 0xf;
constexpr std::uint32_t kWidthMask = 0x3f0;
constexpr std::uint32_t kAspmSupport = 3U << 10;
constexpr std::uint32_t kClockPower = 1U << 18;
// Link Control and Link Status, 7.5.3.7 and 7.5.3.8, as one dword.
constexpr std::uint32_t kAspmControl = 3;
constexpr std::uint32_t kClockPowerEnable = 1U << 8;
constexpr unsigned kLinkStatusShift = 16;
constexpr std::uint32_t kLinkStatusOfPorts = 0xe800;  // training, data link active, bandwidth
// Device Control, 7.5.3.4: reporting of correctable, non-fatal and fatal errors and of requests
// that are not supported.
constexpr std::uint32_t kErrorReporting = 0xf;
// Device Capabilities 2, 7.5.3.15: LTR, 10-Bit Tag Requester, OBFF, emergency power reduction, FRS.
constexpr std::uint32_t kDevice2PathCapable =
    1U << 11 | 1U << 17 | 3U << 18 | 3U << 24 | 1U << 26 | 1U << 31;
// Device Control 2, 7.5.3.16: LTR, emergency power reduction, 10-Bit Tag Requester, OBFF.
constexpr std::uint32_t kDevice2PathEnable = 1U << 10 | 1U << 11 | 1U << 12 | 3U << 13;

/// Collects rows for registers that the capability has room for.
class ExpressRows {
 public:
  ExpressRows(std::span<const std::byte> config, std::uint16_t at, std::uint16_t room)
      : config_(config), at_(at), room_(room) {}

  bool has(std::uint16_t offset) const { return offset + 4U <= room_; }
  std::uint32_t hardware(std::uint16_t offset) const {
    return load_at<std::uint32_t>(config_, std::size_t{at_} + offset).value_or(0);
  }
  /// No row where the hardware shows the same and cannot change it.
  void add(std::uint16_t offset, std::uint32_t mask, std::uint32_t value, const char* reason,
           const char* source) {
    if (has(offset)) {
      part_.rows.push_back({place(offset), mask, value & mask, reason, source});
    }
  }
  void read_only(std::uint16_t offset, const char* reason, const char* source) {
    if (has(offset)) {
      part_.read_only.push_back({place(offset), 4, reason, source});
    }
  }
  PatchPart take() { return std::move(part_); }

 private:
  std::uint16_t place(std::uint16_t offset) const {
    return static_cast<std::uint16_t>(at_ + offset);
  }

  std::span<const std::byte> config_;
  const std::uint16_t at_;
  const std::uint16_t room_;
  PatchPart part_;
};

void add_link(ExpressRows& rows, PcieLink link) {
  if (PcieLink::decode(rows.hardware(pci::kExpressLinkControl) >> kLinkStatusShift)) {
    rows.add(pci::kExpressLinkControl, kLinkStatusOfPorts << kLinkStatusShift, 0,
             "an endpoint's; speed and width are the hardware's, now", "7.5.3.8");
    return;
  }
  // Endpoints of the root complex and virtual functions do not tell.
  const auto capable = rows.hardware(pci::kExpressLinkCapabilities);
  const std::uint32_t width = std::uint32_t{link.width} << pci::kLinkWidthShift;
  if ((capable & kSpeedMask) < link.speed) {
    rows.add(pci::kExpressLinkCapabilities, kSpeedMask, link.speed,
             "the port's link is faster than the device says", "7.5.3.6");
    rows.add(pci::kExpressLinkCapabilities2, (2U << link.speed) - 2, ~0U, "speeds up to the link's",
             "7.5.3.18");
  }
  if ((capable & kWidthMask) < width) {
    rows.add(pci::kExpressLinkCapabilities, kWidthMask, width,
             "the port's link is wider than the device says", "7.5.3.6");
  }
  constexpr std::uint32_t kStatus = (kSpeedMask | kWidthMask | kLinkStatusOfPorts)
                                    << kLinkStatusShift;
  rows.add(pci::kExpressLinkControl, kStatus, (link.speed | width) << kLinkStatusShift,
           "both ends of the guest's link show the same", "7.5.3.8");
}

}  // namespace

PatchPart express_patch(std::span<const std::byte> config, std::uint16_t at, std::uint16_t room,
                        std::optional<PcieLink> link) {
  const auto version = config_dword(config, at) & kVersionMask;
  const bool is_first = version <= kFirstVersion;
  ExpressRows rows(config, at, is_first ? std::min(room, kFirstVersionSize) : room);
  if (version == 0) {
    rows.add(0, kVersionMask, kFirstVersion,
             "a version: drivers refuse 0, which virtual functions of the 82599 have",
             "82599 specification update, erratum 35");
  }
  const bool integrated = (rows.hardware(0) & kTypeMask) == kTypeIntegrated;
  if (integrated) {
    rows.add(0, kTypeMask, kTypeEndpoint, "an endpoint: it stands behind a root port", "7.5.3.2");
  }
  rows.add(pci::kExpressDeviceControl, kErrorReporting, rows.hardware(pci::kExpressDeviceControl),
           "errors are reported to the host's port, as its firmware wants it", "7.5.3.4");
  if (link) {
    add_link(rows, *link);
  }
  if (!integrated) {
    rows.add(pci::kExpressLinkCapabilities, kAspmSupport | kClockPower | pci::kLinkAspmOptionality,
             pci::kLinkAspmOptionality, "the guest's port has no power states of the link",
             "7.5.3.6");
    rows.add(pci::kExpressLinkControl, kAspmControl | kClockPowerEnable, 0,
             "power states of the physical link are the host's", "7.5.3.7");
  }
  rows.read_only(pci::kExpressLinkControl, "the physical link is the host's", "7.5.3.7");
  rows.add(pci::kExpressDeviceCapabilities2, kDevice2PathCapable, 0,
           "the guest's port has neither LTR, OBFF, FRS nor 10-bit tags", "7.5.3.15");
  rows.add(pci::kExpressDeviceControl2, kDevice2PathEnable, 0,
           "LTR, OBFF and 10-bit tags are the host's", "7.5.3.16");
  rows.read_only(pci::kExpressLinkControl2, "the physical link is the host's", "7.5.3.19");
  return rows.take();
}

// 7.8.4.2 and 7.8.4.5.
PatchPart error_patch(std::uint16_t at, std::uint16_t room) {
  constexpr std::uint16_t kUncorrectableStatus = 0x04;
  constexpr std::uint16_t kCorrectableStatus = 0x10;
  PatchPart part;
  for (std::uint16_t offset = 0; offset + 4 <= room;
       offset = static_cast<std::uint16_t>(offset + 4)) {
    if (offset != kUncorrectableStatus && offset != kCorrectableStatus) {
      const ConfigArea area{static_cast<std::uint16_t>(at + offset), 4,
                            "errors are reported to the host's port", "7.8.4"};
      part.read_only.push_back(area);
    }
  }
  return part;
}

PatchPart power_patch(std::uint16_t at) {
  constexpr std::uint32_t kWakeCapable = 0xf8000000;        // PME_Support
  constexpr std::uint32_t kWakeState = 1U << 8 | 1U << 15;  // PME_En, PME_Status
  PatchPart part;
  part.rows.push_back({at, kWakeCapable, 0, "no wake-ups: they end at the host's port", "7.5.2.1"});
  part.rows.push_back({static_cast<std::uint16_t>(at + pci::kPowerControl), kWakeState, 0,
                       "wake-ups are the host's", "7.5.2.2"});
  return part;
}

// 7.8.6: a capability and a control dword for each BAR. Bit 4 + n says 1 MiB << n; from 2^48 on
// those bits are the upper half of the control dword.
std::optional<PatchPart> current_size_patch(std::span<const std::byte> config, std::uint16_t at,
                                            std::uint16_t room) {
  constexpr unsigned kMostBars = 6;
  constexpr unsigned kLowSizes = 28;
  constexpr unsigned kSizes = 44;
  constexpr std::uint32_t kHighSizes = 0xffff0000;
  const auto first = load_at<std::uint32_t>(config, std::size_t{at} + 8).value_or(0);
  const unsigned bars = first >> 5 & 7;
  if (bars == 0 || bars > kMostBars || 4 + bars * 8 > room) {
    return std::nullopt;
  }
  PatchPart part;
  for (unsigned i = 0; i < bars; ++i) {
    const auto capability = static_cast<std::uint16_t>(at + 4 + i * 8);
    const auto control = static_cast<std::uint16_t>(capability + 4);
    const auto code = load_at<std::uint32_t>(config, control).value_or(0) >> 8 & 0x3f;
    if (code >= kSizes) {
      return std::nullopt;
    }
    const bool low = code < kLowSizes;
    part.rows.push_back({capability, ~0U, low ? 1U << (4 + code) : 0,
                         "the size that the host gave is the only one", "7.8.6.2"});
    part.rows.push_back({control, kHighSizes, low ? 0 : 1U << (16 + code - kLowSizes),
                         "the size that the host gave is the only one", "7.8.6.3"});
  }
  return part;
}

}  // namespace gpuvm
