// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/function_settings.hpp"

#include "devices/passthrough/gpudirect.hpp"
#include "devices/passthrough/specific_regions.hpp"
#include "devices/pci/pci_spec.hpp"
#include "firmware/rom/option_rom.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/pci_rom.hpp"
#include "vmm/machine/devices/msix_preview.hpp"

namespace gpuvm {
namespace {

IdentityOverrides identity_of(const PciIdentityConfig& config) {
  return {.vendor = config.vendor_id,
          .device = config.device_id,
          .subsystem_vendor = config.sub_vendor_id,
          .subsystem_device = config.sub_device_id,
          .class_code = config.class_code};
}

Result<std::vector<std::byte>> read_rom_file(const PciRomConfig& config, RomIds shown,
                                             RomIds real) {
  auto bytes = TRY(read_file(config.path, OptionRom::kMaximumSize, ErrorKind::kConfig));
  if (const auto parsed = OptionRom::parse(bytes); parsed && parsed->incomplete) {
    return fail(ErrorKind::kConfig, "{}: {}; read it from the card again, see gpuvm rom dump",
                config.path, parsed->flaw);
  }
  const auto changes = TRY_CONTEXT(
      fit_rom(bytes, shown, real, config.strict ? RomCheck::kStrict : RomCheck::kCorrect),
      config.path);
  for (const auto& change : changes) {
    log::info("{}: {}", config.path, change);
  }
  return bytes;
}

/// Whether the clique's capability has a place, as far as sysfs shows the device's own.
Status check_clique(const HostSystem& host, const Bdf& function, std::uint8_t clique) {
  const auto config =
      TRY(host.read_bytes(pci_sysfs_path(function, "config"), pci::kLegacyConfigSize));
  if (config.size() < pci::kLegacyConfigSize) {
    return {};  // only root sees capabilities
  }
  TRY(gpudirect_capability(config, clique));
  return {};
}

/// Where the host has the BAR: GPUs that reach memory by a coherent link use these addresses.
Result<GuestAddress> host_address_of(const HostPciDevice& device, unsigned number) {
  for (const auto& bar : TRY(device.bars())) {
    if (bar.index == number && !bar.io) {
      return GuestAddress(bar.address);
    }
  }
  return fail(ErrorKind::kConfig, "coherent_memory.bar = {} names no memory BAR", number);
}

Result<std::vector<QuirkKind>> read_quirks(const HostSystem& host, const PciConfig& entry) {
  std::vector<QuirkKind> quirks;
  for (const auto& name : entry.quirks) {
    quirks.push_back(TRY(parse_quirk(name)));
  }
  if (!quirks.empty()) {
    const auto config = TRY(host.read_bytes(pci_sysfs_path(entry.host, "config"), 64));
    TRY(check_quirks(config, quirks));
  }
  return quirks;
}

}  // namespace

MsixRelocation msix_relocation_of(const PciConfig& entry) {
  switch (entry.msix_relocation) {
    case PciMsixRelocation::kOff:
      return {};
    case PciMsixRelocation::kAuto:
      return {.mode = MsixRelocation::Mode::kAuto};
    default:
      return {.mode = MsixRelocation::Mode::kBar,
              .bar = static_cast<unsigned>(entry.msix_relocation) -
                     static_cast<unsigned>(PciMsixRelocation::kBar0)};
  }
}

Result<CoherentMemory::Source> coherent_source_of(const PciConfig& entry) {
  CoherentMemory::Source source;
  if (entry.coherent_memory) {
    source.bar = entry.coherent_memory->bar;
    if (!entry.coherent_memory->region.empty()) {
      source.region = TRY_CONTEXT(parse_memory_region(entry.coherent_memory->region), "[[pci]]");
    }
  }
  return source;
}

Result<FunctionSettings> settings_of(const HostSystem& host, const PciConfig& entry,
                                     const Bdf& function) {
  FunctionSettings settings;
  settings.p2p = entry.p2p;
  settings.rom.hidden = entry.rom.mode == PciRomMode::kOff;
  settings.rom.check = entry.rom.strict ? RomCheck::kStrict : RomCheck::kCorrect;
  settings.rom.fallback = [&host, function]() -> Result<std::vector<std::byte>> {
    auto rom = TRY(read_host_rom(host, function));
    log::info("{}: Option ROM from {}", function.to_string(), rom.origin);
    return std::move(rom.bytes);
  };
  if (!(function == entry.host)) {
    return settings;
  }
  const auto device = TRY(HostPciDevice::open(host, function));
  if (device.is_bridge() && !(entry.identity == PciIdentityConfig{})) {
    return fail(ErrorKind::kConfig, "{} is a bridge, whose ids cannot be overridden",
                function.to_string());
  }
  settings.identity = identity_of(entry.identity);
  settings.gpudirect_clique = entry.gpudirect_clique;
  if (settings.gpudirect_clique) {
    TRY_CONTEXT(check_clique(host, function, *settings.gpudirect_clique), function.to_string());
  }
  settings.acpi_rom = entry.acpi_rom;
  settings.coherent = TRY(coherent_source_of(entry));
  if (entry.coherent_memory && entry.coherent_memory->at_host_address) {
    settings.coherent_at =
        TRY_CONTEXT(host_address_of(device, *settings.coherent.bar), function.to_string());
  }
  settings.quirks = TRY_CONTEXT(read_quirks(host, entry), "pci.quirks of " + function.to_string());
  settings.msix_relocation = msix_relocation_of(entry);
  TRY_CONTEXT(preview_msix(host, device, settings.msix_relocation, settings.coherent.bar),
              "pci.msix_relocation of " + function.to_string());
  if (entry.rom.mode == PciRomMode::kFile) {
    const RomIds real{device.ids().vendor, device.ids().device};
    const RomIds shown{settings.identity.vendor.value_or(real.vendor),
                       settings.identity.device.value_or(real.device)};
    settings.rom.contents = TRY_CONTEXT(read_rom_file(entry.rom, shown, real), "pci.rom");
  }
  return settings;
}

}  // namespace gpuvm
