// SPDX-License-Identifier: Apache-2.0
// ConfigPatch: see the header.
#include "devices/passthrough/config_patch.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bitset>
#include <iterator>
#include <optional>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

// The dwords that hold the registers of PCI Express Base 6.0, 7.5.1.1.
constexpr std::uint16_t kStatusDword = pci::kCommand;
constexpr std::uint32_t kStatusCapabilities = std::uint32_t{pci::kStatusCapabilities} << 16;
constexpr std::uint16_t kHeaderTypeDword = pci::kCacheLineSize;
constexpr std::uint32_t kMultiFunction = std::uint32_t{pci::kHeaderTypeMultiFunction} << 16;
constexpr std::uint16_t kClassDword = 0x08;  // revision in its low byte
constexpr std::uint16_t kSubsystemDword = 0x2c;
constexpr std::uint16_t kInterruptDword = pci::kInterruptLine;
constexpr std::uint32_t kInterruptPin = 0xff00;
constexpr std::uint16_t kFirstStandard = 0x40;
constexpr std::uint16_t kFirstExtended = pci::kExtendedCapabilities;
constexpr std::size_t kStandardSize = pci::kLegacyConfigSize;
constexpr std::size_t kExtendedSize = pci::kConfigSize;

constexpr auto kIdMsi = static_cast<std::uint16_t>(pci::CapabilityId::kMsi);
constexpr auto kIdMsix = static_cast<std::uint16_t>(pci::CapabilityId::kMsix);
constexpr auto kIdPciExpress = static_cast<std::uint8_t>(pci::CapabilityId::kPciExpress);
constexpr std::uint8_t kIdAdvancedFeatures = 0x13;
constexpr std::uint16_t kIdEnhancedAllocation = 0x14;

constexpr std::uint32_t kStandardNext = 0xff00;
constexpr std::uint32_t kExtendedNext = 0xfff00000;

struct HiddenKind {
  std::uint16_t id;
  std::uint16_t size;  ///< largest, cut at the next capability
  const char* reason;
};

// Sizes: PCI Express Base 6.0, the sections named.
constexpr HiddenKind kHiddenExtended[] = {
    {0x10, 0x40, "SR-IOV (9.3.3) hidden: its virtual functions belong to the host"},
    {0x0e, 0x08, "ARI (7.8.8) hidden: the guest's port does not forward it"},
    {0x15, 0x34, "Resizable BAR (7.8.6) hidden: BAR sizes are fixed when the guest starts"},
    {0x24, 0x34, "VF Resizable BAR (7.8.7) hidden: goes with SR-IOV"},
};

std::uint32_t dword_at(std::span<const std::byte> config, std::uint16_t offset) {
  return load_at<std::uint32_t>(config, offset).value_or(0);
}

std::optional<HiddenKind> hidden_standard(std::uint16_t id, const ConfigPatch::Options& options) {
  if (id == kIdMsi && options.hide_msi) {
    return HiddenKind{id, 0x18, "MSI hidden: the host cannot deliver it"};
  }
  if (id == kIdMsix && options.hide_msix) {
    return HiddenKind{id, 0x0c, "MSI-X hidden: the host cannot deliver it"};
  }
  if (id == kIdEnhancedAllocation) {
    return HiddenKind{id, 0x04, "Enhanced Allocation (7.8.5) hidden: it holds host addresses"};
  }
  return std::nullopt;
}

std::optional<HiddenKind> hidden_extended(std::uint16_t id) {
  const auto found = std::find_if(std::begin(kHiddenExtended), std::end(kHiddenExtended),
                                  [&](const HiddenKind& kind) { return kind.id == id; });
  return found == std::end(kHiddenExtended) ? std::nullopt : std::optional(*found);
}

/// How much of [offset, offset + size) there is before the next capability or the end.
std::uint16_t clip(std::uint16_t offset, std::uint16_t size,
                   const std::vector<CapabilityHeader>& all, std::size_t end) {
  auto limit = std::min<std::size_t>(end, std::size_t{offset} + size);
  for (const auto& capability : all) {
    if (capability.offset > offset) {
      limit = std::min<std::size_t>(limit, capability.offset);
    }
  }
  return static_cast<std::uint16_t>(limit - offset);
}

}  // namespace

std::vector<CapabilityHeader> standard_capabilities(std::span<const std::byte> config) {
  std::vector<CapabilityHeader> found;
  if (config.size() < kFirstStandard ||
      (dword_at(config, kStatusDword) & kStatusCapabilities) == 0) {
    return found;
  }
  const auto standard = config.first(std::min(config.size(), kStandardSize));
  std::bitset<kStandardSize / 4> seen;
  auto offset = static_cast<std::uint16_t>(dword_at(standard, pci::kCapabilitiesPointer) & 0xfcU);
  while (offset >= kFirstStandard && std::size_t{offset} + 4 <= standard.size() &&
         !seen[offset / 4]) {
    seen.set(offset / 4);
    const auto header = dword_at(standard, offset);
    found.push_back({.id = static_cast<std::uint16_t>(header & 0xffU), .offset = offset});
    offset = static_cast<std::uint16_t>((header >> 8) & 0xfcU);
  }
  return found;
}

std::vector<CapabilityHeader> extended_capabilities(std::span<const std::byte> config) {
  std::vector<CapabilityHeader> found;
  std::bitset<kExtendedSize / 4> seen;
  const auto size = std::min(config.size(), kExtendedSize);
  std::uint16_t offset = kFirstExtended;
  while (offset >= kFirstExtended && std::size_t{offset} + 4 <= size && !seen[offset / 4]) {
    seen.set(offset / 4);
    const auto header = dword_at(config, offset);
    if (header == 0 || header == ~0U) {
      break;  // 7.6.3: no extended capabilities, or nothing there at all
    }
    found.push_back({.id = static_cast<std::uint16_t>(header & 0xffffU), .offset = offset});
    offset = static_cast<std::uint16_t>((header >> 20) & 0xffcU);
  }
  return found;
}

std::uint16_t find_capability(std::span<const std::byte> config, std::uint8_t id) {
  for (const auto& capability : standard_capabilities(config)) {
    if (capability.id == id) {
      return capability.offset;
    }
  }
  return 0;
}

ConfigPatch ConfigPatch::create(std::span<const std::byte> config, const Options& options) {
  ConfigPatch patch;
  patch.add_header_rows(options);
  patch.add_identity_rows(options.identity);
  patch.add_function_reset_rows(config, options);
  patch.link_standard(config, options);
  patch.link_extended(config);
  std::stable_sort(
      patch.rows_.begin(), patch.rows_.end(),
      [](const ConfigPatchRow& a, const ConfigPatchRow& b) { return a.offset < b.offset; });
  return patch;
}

void ConfigPatch::add(std::uint16_t offset, std::uint32_t mask, std::uint32_t value,
                      std::string reason) {
  rows_.push_back({.offset = offset, .mask = mask, .value = value, .reason = std::move(reason)});
}

void ConfigPatch::add_header_rows(const Options& options) {
  // 7.5.1.1.9. Guests read it again after they switch functions on (NVIDIA audio, config 0x488), so
  // it must say what is there.
  add(kHeaderTypeDword, kMultiFunction, options.multi_function ? kMultiFunction : 0,
      options.multi_function ? "multi-function: more functions are passed through"
                             : "single function: no other is passed through");
  if (options.hide_intx) {
    add(kInterruptDword, kInterruptPin, 0, "no interrupt pin: the host cannot deliver INTx");
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
      {kClassDword, 8, 0xffffff, identity.class_code, "class code"},
      {kSubsystemDword, 0, 0xffff, identity.subsystem_vendor, "subsystem vendor id"},
      {kSubsystemDword, 16, 0xffff, identity.subsystem_device, "subsystem id"},
  };
  for (const auto& row : rows) {
    if (row.value) {
      add(row.offset, row.mask << row.shift, (*row.value & row.mask) << row.shift,
          std::string(row.name) + " set by the configuration");
    }
  }
}

void ConfigPatch::add_function_reset_rows(Config config, const Options& options) {
  if (!options.hide_function_reset) {
    return;
  }
  if (const auto express = find_capability(config, kIdPciExpress); express != 0) {
    add(static_cast<std::uint16_t>(express + 4), 1U << 28, 0,
        "FLR (7.5.3.3) hidden: it is known to fail on this device");
  }
  if (const auto features = find_capability(config, kIdAdvancedFeatures); features != 0) {
    add(features, 1U << 25, 0, "FLR of Advanced Features hidden: it is known to fail");
  }
}

void ConfigPatch::link_standard(Config config, const Options& options) {
  const auto all = standard_capabilities(config);
  const auto pointer = dword_at(config, pci::kCapabilitiesPointer) & 0xffU;
  std::optional<std::uint16_t> previous;
  std::string reason = "capability chain";
  // Gives the last visible capability (or the header) the next visible one.
  const auto link = [&](std::uint16_t next) {
    if (!previous) {
      if (pointer != next) {
        add(pci::kCapabilitiesPointer, 0xff, next, reason + ", first link");
      }
    } else if (((dword_at(config, *previous) & kStandardNext) >> 8) != next) {
      add(*previous, kStandardNext, std::uint32_t{next} << 8, reason + ", next link");
    }
    reason = "capability chain";
  };
  for (const auto& capability : all) {
    if (const auto kind = hidden_standard(capability.id, options)) {
      hidden_.push_back({.offset = capability.offset,
                         .size = clip(capability.offset, kind->size, all, kStandardSize),
                         .reason = kind->reason});
      reason = kind->reason;
      continue;
    }
    link(capability.offset);
    previous = capability.offset;
  }
  link(options.extra ? options.extra->offset : 0);
  if (options.extra) {
    const auto& extra = *options.extra;
    hidden_.push_back({.offset = extra.offset, .size = 8, .reason = extra.reason});
    add(extra.offset, ~0U, extra.first & ~kStandardNext, extra.reason);
    add(static_cast<std::uint16_t>(extra.offset + 4), ~0U, extra.second, extra.reason);
  }
}

void ConfigPatch::link_extended(Config config) {
  const auto all = extended_capabilities(config);
  std::optional<std::uint16_t> previous;
  std::string reason = "extended capability chain";
  const auto link = [&](std::uint16_t next) {
    if (previous && ((dword_at(config, *previous) & kExtendedNext) >> 20) != next) {
      add(*previous, kExtendedNext, std::uint32_t{next} << 20, reason + ", next link");
    }
    reason = "extended capability chain";
  };
  bool first_hidden = false;
  for (const auto& capability : all) {
    if (const auto kind = hidden_extended(capability.id)) {
      hidden_.push_back({.offset = capability.offset,
                         .size = clip(capability.offset, kind->size, all, kExtendedSize),
                         .reason = kind->reason});
      reason = kind->reason;
      first_hidden = first_hidden || capability.offset == kFirstExtended;
      continue;
    }
    if (!previous && first_hidden) {
      // The chain always starts at 0x100: a Null capability (id 0) stands there.
      add(kFirstExtended, ~0U, std::uint32_t{capability.offset} << 20,
          "Null capability in place of a hidden first one");
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

bool ConfigPatch::hidden(std::uint16_t offset) const {
  return std::any_of(hidden_.begin(), hidden_.end(), [&](const Hidden& area) {
    return offset >= area.offset && offset - area.offset < area.size;
  });
}

void ConfigPatch::inspect(InspectNode& node) const {
  for (const auto& row : rows_) {
    auto& child = node.child(fmt::format("{:#05x} mask {:#010x}", row.offset, row.mask));
    child.hex("value", row.value);
    child.field("reason", row.reason);
  }
  for (const auto& area : hidden_) {
    auto& child = node.child(fmt::format("hidden {:#05x}", area.offset));
    child.hex("size", area.size);
    child.field("reason", area.reason);
  }
}

}  // namespace gpuvm
