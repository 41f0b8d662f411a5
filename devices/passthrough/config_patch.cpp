// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/config_patch.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "devices/passthrough/integrated_graphics.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

// The dwords that hold the registers of PCI Express Base 6.0, 7.5.1.1.
constexpr std::uint16_t kHeaderTypeDword = pci::kCacheLineSize;
constexpr std::uint32_t kMultiFunction = std::uint32_t{pci::kHeaderTypeMultiFunction} << 16;
constexpr std::uint32_t kSelfTest = 0xff000000;  // BIST
constexpr std::uint32_t kErrorEnables = pci::kCommandParityError | pci::kCommandSerr;
constexpr std::uint16_t kSubsystemDword = 0x2c;
constexpr std::uint16_t kInterruptDword = pci::kInterruptLine;
constexpr std::uint32_t kInterruptPin = 0xff00;

constexpr auto kIdPower = static_cast<std::uint16_t>(pci::CapabilityId::kPowerManagement);
constexpr auto kIdMsi = static_cast<std::uint16_t>(pci::CapabilityId::kMsi);
constexpr auto kIdMsix = static_cast<std::uint16_t>(pci::CapabilityId::kMsix);
constexpr auto kIdPciExpress = static_cast<std::uint8_t>(pci::CapabilityId::kPciExpress);
constexpr auto kIdAdvancedFeatures =
    static_cast<std::uint8_t>(pci::CapabilityId::kAdvancedFeatures);
constexpr auto kIdVpd = static_cast<std::uint16_t>(pci::CapabilityId::kVitalProductData);
constexpr std::uint16_t kIdDvsec = 0x23;
constexpr std::uint16_t kIdDoe = 0x2e;
constexpr std::uint16_t kMsiSize = 0x18;
// 7.9.19: address and the flag that begins a write, in the header's dword; the data.
constexpr std::uint32_t kVpdWrite = 1U << 31;
constexpr std::uint16_t kVpdData = 4;

constexpr std::uint32_t kStandardNext = 0xff00;
constexpr std::uint32_t kExtendedNext = 0xfff00000;
constexpr const char* kStandardChain = "PCI 3.0, 6.7";
constexpr const char* kExtendedChain = "7.6.3";
constexpr const char* kConfiguration = "the guest's configuration";

bool contains(const std::vector<ConfigArea>& areas, std::uint16_t offset) {
  return std::any_of(areas.begin(), areas.end(), [offset](const ConfigArea& area) {
    return offset >= area.offset && offset - area.offset < area.size;
  });
}

void show_area(const ConfigArea& area, std::string_view what, InspectNode& node) {
  auto& child = node.child(fmt::format("{}_{:#05x}", what, area.offset));
  child.hex("size", area.size);
  child.field("reason", area.reason);
  child.field("source", area.source);
}

}  // namespace

ConfigPatch ConfigPatch::create(std::span<const std::byte> config, const Options& options) {
  ConfigPatch patch;
  patch.add_header_rows(config, options);
  patch.add_identity_rows(options.identity);
  patch.add_function_reset_rows(config, options);
  patch.add_integrated_graphics(config);
  patch.add_standard(config, options);
  patch.add_extended(config, options);
  std::stable_sort(
      patch.rows_.begin(), patch.rows_.end(),
      [](const ConfigPatchRow& a, const ConfigPatchRow& b) { return a.offset < b.offset; });
  return patch;
}

void ConfigPatch::add(std::uint16_t offset, std::uint32_t mask, std::uint32_t value,
                      std::string reason, const char* source) {
  rows_.push_back({.offset = offset,
                   .mask = mask,
                   .value = value,
                   .reason = std::move(reason),
                   .source = source});
}

void ConfigPatch::add(const CapabilityPolicy& policy, PatchPart part) {
  for (auto& row : part.rows) {
    row.reason = fmt::format("{}: {}", policy.name, row.reason);
    rows_.push_back(std::move(row));
  }
  for (auto& area : part.read_only) {
    area.reason = fmt::format("{}: {}", policy.name, area.reason);
    read_only_.push_back(std::move(area));
  }
}

void ConfigPatch::add_integrated_graphics(Config config) {
  auto part = integrated_graphics_patch(config);
  std::move(part.rows.begin(), part.rows.end(), std::back_inserter(rows_));
  std::move(part.read_only.begin(), part.read_only.end(), std::back_inserter(read_only_));
}

void ConfigPatch::add_header_rows(Config config, const Options& options) {
  add(pci::kCommand, kErrorEnables, config_dword(config, pci::kCommand) & kErrorEnables,
      "errors are reported to the host's port, as its firmware wants it", "7.5.1.1.3");
  add(kHeaderTypeDword, kSelfTest, 0, "no self-test: the function answers nobody meanwhile",
      "7.5.1.1.12");
  // Guests read it again after they switch functions on (NVIDIA audio, config 0x488), so it must
  // say what is there.
  add(kHeaderTypeDword, kMultiFunction, options.multi_function ? kMultiFunction : 0,
      options.multi_function ? "multi-function: more functions are passed through"
                             : "single function: no other is passed through",
      "7.5.1.1.9");
  if (options.hide_intx) {
    add(kInterruptDword, kInterruptPin, 0, "no interrupt pin: the host cannot deliver INTx",
        "7.5.1.1.13");
  }
}

void ConfigPatch::add_identity_rows(const IdentityOverrides& identity) {
  struct Row {
    std::uint16_t offset;
    unsigned shift;
    std::uint32_t mask;
    std::optional<std::uint32_t> value;
    const char* name;
  };
  const Row rows[] = {
      {pci::kVendorId, 0, 0xffff, identity.vendor, "vendor id"},
      {pci::kVendorId, 16, 0xffff, identity.device, "device id"},
      {pci::kClassDword, 8, 0xffffff, identity.class_code, "class code"},
      {kSubsystemDword, 0, 0xffff, identity.subsystem_vendor, "subsystem vendor id"},
      {kSubsystemDword, 16, 0xffff, identity.subsystem_device, "subsystem id"},
  };
  for (const auto& row : rows) {
    if (row.value) {
      add(row.offset, row.mask << row.shift, (*row.value & row.mask) << row.shift,
          std::string(row.name) + " set by the configuration", kConfiguration);
    }
  }
}

void ConfigPatch::add_function_reset_rows(Config config, const Options& options) {
  if (!options.hide_function_reset && !options.no_function_reset) {
    return;
  }
  const char* const reason = options.hide_function_reset
                                 ? "FLR hidden: it is known to fail on this device"
                                 : "FLR hidden: the host has no function reset for this device";
  // A capability in the last dword has no such register: what follows is not its.
  const auto express = find_capability(config, kIdPciExpress);
  if (express != 0 && express + 8U <= pci::kLegacyConfigSize) {
    add(static_cast<std::uint16_t>(express + 4), 1U << 28, 0, reason, "7.5.3.3; docs/reset.md");
  }
  if (const auto features = find_capability(config, kIdAdvancedFeatures); features != 0) {
    add(features, 1U << 25, 0, reason, "7.9.22; docs/reset.md");
  }
}

void ConfigPatch::hide(const CapabilityHeader& capability, std::uint16_t room,
                       const CapabilityPolicy& policy, const char* reason) {
  hidden_.push_back({.offset = capability.offset,
                     .size = room,
                     .reason = fmt::format("{} hidden: {}", policy.name, reason),
                     .source = policy.source});
}

bool ConfigPatch::show_standard(Config config, const CapabilityHeader& capability,
                                std::uint16_t room, const Options& options) {
  const auto& policy = standard_policy(capability.id);
  const bool undeliverable = (capability.id == kIdMsi && options.hide_msi) ||
                             (capability.id == kIdMsix && options.hide_msix);
  if (undeliverable) {
    hide(capability, std::min(room, capability.id == kIdMsi ? kMsiSize : pci::kMsixSize), policy,
         "the host cannot deliver it");
    return false;
  }
  if (policy.treatment == CapabilityTreatment::kHidden) {
    hide(capability, std::min(room, policy.size), policy, policy.reason);
    return false;
  }
  if (capability.id == kIdPower && room >= pci::kPowerSize) {
    add(policy, power_patch(capability.offset));
  } else if (capability.id == kIdPciExpress) {
    add(policy, express_patch(config, capability.offset, room, options.link));
  } else if (capability.id == kIdVpd && !options.writable.vpd) {
    seal_vpd(capability, room, policy);
  } else if (capability.id == kIdMsix && options.moved_msix) {
    add_moved_msix(*options.moved_msix);
  }
  return true;
}

/// Reading it takes writes of its address.
void ConfigPatch::seal_vpd(const CapabilityHeader& capability, std::uint16_t room,
                           const CapabilityPolicy& policy) {
  sealed_vpd_ = capability.offset;
  if (room >= kVpdData + 4) {
    read_only_.push_back({.offset = static_cast<std::uint16_t>(capability.offset + kVpdData),
                          .size = 4,
                          .reason = fmt::format("{}: the card keeps what is written", policy.name),
                          .source = policy.source});
  }
}

bool ConfigPatch::begins_vpd_write(std::uint16_t offset, std::uint32_t bits) const {
  return sealed_vpd_ != 0 && offset == sealed_vpd_ && (bits & kVpdWrite) != 0;
}

void ConfigPatch::add_standard(Config config, const Options& options) {
  const auto all = standard_capabilities(config);
  const auto pointer = config_dword(config, pci::kCapabilitiesPointer) & 0xffU;
  std::optional<std::uint16_t> previous;
  std::string reason = "capability chain";
  // Gives the last visible capability (or the header) the next visible one.
  const auto link = [&](std::uint16_t next) {
    if (!previous) {
      if (pointer != next) {
        add(pci::kCapabilitiesPointer, 0xff, next, reason + ", first link", kStandardChain);
      }
    } else if (((config_dword(config, *previous) & kStandardNext) >> 8) != next) {
      add(*previous, kStandardNext, std::uint32_t{next} << 8, reason + ", next link",
          kStandardChain);
    }
    reason = "capability chain";
  };
  for (const auto& capability : all) {
    const auto room =
        capability_room(capability.offset, pci::kLegacyConfigSize, all, pci::kLegacyConfigSize);
    if (!show_standard(config, capability, room, options)) {
      reason = hidden_.back().reason;
      continue;
    }
    link(capability.offset);
    previous = capability.offset;
  }
  link(options.extra ? options.extra->offset : 0);
  if (options.extra) {
    add_extra(*options.extra);
  }
}

void ConfigPatch::add_extra(const ExtraCapability& extra) {
  read_only_.push_back(
      {.offset = extra.offset, .size = 8, .reason = extra.reason, .source = kConfiguration});
  add(extra.offset, ~0U, extra.first & ~kStandardNext, extra.reason, kConfiguration);
  add(static_cast<std::uint16_t>(extra.offset + 4), ~0U, extra.second, extra.reason,
      kConfiguration);
}

// Offsets are multiples of 8; the BAR is in the bits below.
void ConfigPatch::add_moved_msix(const MsixLayout& layout) {
  add(static_cast<std::uint16_t>(layout.offset + 4), ~0U,
      static_cast<std::uint32_t>(layout.table_offset) | layout.table_bar,
      "MSI-X: the table's pages are the guest's, who sees it elsewhere", "7.7.2.3");
  add(static_cast<std::uint16_t>(layout.offset + 8), ~0U,
      static_cast<std::uint32_t>(layout.pending_offset) | layout.pending_bar,
      "MSI-X: the pending bits went with the table", "7.7.2.4");
}

bool ConfigPatch::show_extended(Config config, const CapabilityHeader& capability,
                                std::uint16_t room, const WritableCapabilities& writable) {
  if ((capability.id == kIdDvsec && writable.dvsec) || (capability.id == kIdDoe && writable.doe)) {
    return true;
  }
  const auto& policy = extended_policy(capability.id);
  const auto size = std::min(room, policy.size);
  const ConfigArea whole{.offset = capability.offset,
                         .size = size,
                         .reason = fmt::format("{}: {}", policy.name, policy.reason),
                         .source = policy.source};
  switch (policy.treatment) {
    case CapabilityTreatment::kHidden:
      hide(capability, size, policy, policy.reason);
      return false;
    case CapabilityTreatment::kCurrentSize:
      if (auto part = current_size_patch(config, capability.offset, size)) {
        add(policy, std::move(*part));
        read_only_.push_back(whole);
        return true;
      }
      hide(capability, size, policy, "it contradicts itself");
      return false;
    case CapabilityTreatment::kReadOnly:
      read_only_.push_back(whole);
      return true;
    case CapabilityTreatment::kErrors:
      add(policy, error_patch(capability.offset, size));
      return true;
    case CapabilityTreatment::kShown:
      break;
  }
  return true;
}

void ConfigPatch::add_extended(Config config, const Options& options) {
  const auto all = extended_capabilities(config);
  std::optional<std::uint16_t> previous;
  std::string reason = "extended capability chain";
  const auto link = [&](std::uint16_t next) {
    if (previous && ((config_dword(config, *previous) & kExtendedNext) >> 20) != next) {
      add(*previous, kExtendedNext, std::uint32_t{next} << 20, reason + ", next link",
          kExtendedChain);
    }
    reason = "extended capability chain";
  };
  bool first_hidden = false;
  for (const auto& capability : all) {
    const auto room = capability_room(capability.offset, pci::kConfigSize, all, pci::kConfigSize);
    if (!show_extended(config, capability, room, options.writable)) {
      reason = hidden_.back().reason;
      first_hidden = first_hidden || capability.offset == pci::kExtendedCapabilities;
      continue;
    }
    if (!previous && first_hidden) {
      // The chain always starts at 0x100: a Null capability (id 0) stands there.
      add(pci::kExtendedCapabilities, ~0U, std::uint32_t{capability.offset} << 20,
          "Null capability in place of a hidden first one", kExtendedChain);
    } else {
      link(capability.offset);
    }
    reason = "extended capability chain";
    previous = capability.offset;
  }
  link(0);
  // Nothing visible: the hidden first dword reads 0, which says so (7.6.3).
}

std::uint32_t ConfigPatch::apply(std::uint16_t offset, std::uint32_t hardware) const {
  auto value = hidden(offset) ? 0 : hardware;
  const auto first =
      std::lower_bound(rows_.begin(), rows_.end(), offset,
                       [](const ConfigPatchRow& row, std::uint16_t at) { return row.offset < at; });
  for (auto row = first; row != rows_.end() && row->offset == offset; ++row) {
    value = (value & ~row->mask) | (row->value & row->mask);
  }
  return value;
}

std::uint32_t ConfigPatch::patched_bits(std::uint16_t offset) const {
  std::uint32_t bits = 0;
  for (const auto& row : rows_) {
    bits |= row.offset == offset ? row.mask : 0;
  }
  return bits;
}

bool ConfigPatch::hidden(std::uint16_t offset) const {
  return contains(hidden_, offset);
}

bool ConfigPatch::drops_writes(std::uint16_t offset) const {
  return contains(hidden_, offset) || contains(read_only_, offset);
}

void ConfigPatch::inspect(InspectNode& node) const {
  for (const auto& row : rows_) {
    auto& child = node.child(fmt::format("{:#05x}_mask_{:#010x}", row.offset, row.mask));
    child.hex("value", row.value);
    child.field("reason", row.reason);
    child.field("source", row.source);
  }
  for (const auto& area : hidden_) {
    show_area(area, "hidden", node);
  }
  for (const auto& area : read_only_) {
    show_area(area, "read_only", node);
  }
}

}  // namespace gpuvm
