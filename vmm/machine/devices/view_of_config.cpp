// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/view_of_config.hpp"

#include "devices/passthrough/function_plan.hpp"
#include "devices/passthrough/specific_regions.hpp"
#include "firmware/rom/option_rom.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/pci_rom.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/machine/devices/sysfs_facts.hpp"

namespace gpuvm {
namespace {

IdentityOverrides identity_of(const PciIdentityConfig& config) {
  return {.vendor = config.vendor_id,
          .device = config.device_id,
          .subsystem_vendor = config.sub_vendor_id,
          .subsystem_device = config.sub_device_id,
          .class_code = config.class_code};
}

RomCheck rom_check_of(const PciRomConfig& config) {
  return config.strict ? RomCheck::kStrict : RomCheck::kCorrect;
}

Result<std::vector<std::byte>> read_rom_file(const PciRomConfig& config) {
  auto bytes = TRY(read_file(config.path, OptionRom::kMaximumSize, ErrorKind::kConfig));
  const auto parsed = TRY_CONTEXT(OptionRom::parse(bytes), config.path);
  if (parsed.incomplete) {
    return fail(ErrorKind::kConfig, "{}: {}; read it from the card again, see gpuvm rom dump",
                config.path, parsed.flaw);
  }
  return bytes;
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

Result<std::vector<QuirkKind>> read_quirks(const PciConfig& entry) {
  std::vector<QuirkKind> quirks;
  for (const auto& name : entry.quirks) {
    quirks.push_back(TRY(parse_quirk(name)));
  }
  return quirks;
}

AcpiRomChoice acpi_rom_of(PciAcpiRomMode mode) {
  switch (mode) {
    case PciAcpiRomMode::kAuto:
      return AcpiRomChoice::kAuto;
    case PciAcpiRomMode::kOn:
      return AcpiRomChoice::kOn;
    case PciAcpiRomMode::kOff:
      return AcpiRomChoice::kOff;
  }
  return AcpiRomChoice::kAuto;
}

MsixRelocation msix_relocation_of(PciMsixRelocation choice) {
  switch (choice) {
    case PciMsixRelocation::kOff:
      return {};
    case PciMsixRelocation::kAuto:
      return {.mode = MsixRelocation::Mode::kAuto};
    default:
      return {
          .mode = MsixRelocation::Mode::kBar,
          .bar = static_cast<unsigned>(choice) - static_cast<unsigned>(PciMsixRelocation::kBar0)};
  }
}

/// What the section calls memory of the CPUs.
Result<CoherentMemory::Source> coherent_of(const PciConfig& entry) {
  CoherentMemory::Source source;
  if (entry.coherent_memory) {
    source.bar = entry.coherent_memory->bar;
    if (!entry.coherent_memory->region.empty()) {
      source.region = TRY_CONTEXT(parse_memory_region(entry.coherent_memory->region), "[[pci]]");
    }
  }
  return source;
}

RomSource rom_of(const HostSystem& host, const PciConfig& entry, const Bdf& function) {
  return {.hidden = entry.rom.mode == PciRomMode::kOff,
          .contents = {},
          .check = rom_check_of(entry.rom),
          .fallback = [&host, function]() -> Result<std::vector<std::byte>> {
            auto rom = TRY(read_host_rom(host, function));
            log::info("{}: Option ROM from {}", function.to_string(), rom.origin);
            return std::move(rom.bytes);
          }};
}

/// Of a server's function: whether a file fits is known when the function is.
Result<RomSource> rom_of_remote(const PciRomConfig& config) {
  RomSource rom{
      .hidden = config.mode == PciRomMode::kOff, .contents = {}, .check = rom_check_of(config)};
  if (config.mode == PciRomMode::kFile) {
    rom.contents = TRY_CONTEXT(read_rom_file(config), "pci.rom");
    rom.unfitted_file = config.path;
  }
  return rom;
}

/// What the section says of all functions of the slot.
FunctionView slot_view(const HostSystem& host, const PciConfig& entry, const Bdf& function) {
  return {.rom = rom_of(host, entry, function), .p2p = entry.p2p};
}

/// What it says of the one that it names.
Status add_choices(const PciConfig& entry, FunctionView& view) {
  view.acpi_rom = acpi_rom_of(entry.acpi_rom);
  view.identity = identity_of(entry.identity);
  view.gpudirect_clique = entry.gpudirect_clique;
  view.coherent = TRY(coherent_of(entry));
  view.quirks = TRY_CONTEXT(read_quirks(entry), "pci.quirks of " + entry.host.to_string());
  view.msix_relocation = msix_relocation_of(entry.msix_relocation);
  view.writable = {
      .vpd = entry.writable.vpd, .dvsec = entry.writable.dvsec, .doe = entry.writable.doe};
  return {};
}

}  // namespace

Result<FunctionView> view_of_remote(const PciConfig& entry) {
  FunctionView view{.rom = TRY(rom_of_remote(entry.rom))};
  TRY(add_choices(entry, view));
  return view;
}

Result<FunctionView> view_of(const HostSystem& host, const PciConfig& entry, const Bdf& function) {
  const std::string name = function.to_string();
  auto view = slot_view(host, entry, function);
  if (!(function == entry.host)) {
    return view;
  }
  const auto device = TRY(HostPciDevice::open(host, function));
  if (device.is_bridge() && !(entry.identity == PciIdentityConfig{})) {
    return fail(ErrorKind::kConfig, "{} is a bridge, whose ids cannot be overridden", name);
  }
  TRY(add_choices(entry, view));
  if (entry.coherent_memory && entry.coherent_memory->at_host_address) {
    view.coherent_at = TRY_CONTEXT(host_address_of(device, *view.coherent.bar), name);
  }
  // As the start will do it, as far as sysfs shows the function.
  auto facts = sysfs_facts(host, device);
  TRY(take_bar_size(facts, host, function, TRY(bar_size_of(host, entry, function))));
  const auto plan = TRY(FunctionPlan::create(name, facts, view, {}));
  if (entry.rom.mode == PciRomMode::kFile) {
    const RomIds real{device.ids().vendor, device.ids().device};
    view.rom.contents = TRY_CONTEXT(read_rom_file(entry.rom), "pci.rom");
    TRY_CONTEXT(fit_rom_file(entry.rom.path, view.rom.contents, plan.shown, real, view.rom.check),
                "pci.rom");
  }
  return view;
}

}  // namespace gpuvm
