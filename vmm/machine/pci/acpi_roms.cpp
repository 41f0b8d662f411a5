// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/acpi_roms.hpp"

#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kVendorAmd = 0x1002;
constexpr std::uint16_t k3dController = 0x0302;
constexpr std::uint16_t kOtherDisplay = 0x0380;

constexpr std::array<AcpiRomPolicy, 2> kPolicies = {{
    {std::nullopt, k3dController,
     "a GPU without a screen of its own, whose ROM a laptop's firmware keeps",
     "Linux, drivers/gpu/drm/nouveau/nvkm/subdev/bios/shadow.c: ACPI before the ROM BAR"},
    {kVendorAmd, kOtherDisplay,
     "AMD's GPUs without a screen call themselves so, and their driver reads the VFCT",
     "Linux, drivers/gpu/drm/amd/amdgpu/amdgpu_bios.c: VFCT before the ROM BAR"},
}};

std::uint16_t low(std::uint32_t value) {
  return static_cast<std::uint16_t>(value & 0xffff);
}
std::uint16_t high(std::uint32_t value) {
  return static_cast<std::uint16_t>(value >> 16);
}

/// The ROM that ACPI hands out; nothing where it hands none out. Errors: kConfig.
Result<std::span<const std::byte>> image_for_acpi(AcpiRomChoice mode,
                                                  PassthroughFunction& function) {
  const std::uint32_t class_code = function.config_read(pci::kClassDword) >> 8;
  const auto* policy = find_acpi_rom_policy(low(function.config_read(pci::kVendorId)), class_code);
  if (mode == AcpiRomChoice::kOff || (mode == AcpiRomChoice::kAuto && policy == nullptr)) {
    return std::span<const std::byte>();
  }
  const auto image = function.rom_image();
  if (image.empty() && mode == AcpiRomChoice::kOn) {
    return fail(ErrorKind::kConfig,
                "{}: acpi_rom is \"on\", but there is no option ROM: name a file with rom",
                function.name());
  }
  if (image.empty()) {
    log::info("{}: ACPI has no option ROM to hand out; pci.rom can name a file", function.name());
    return image;
  }
  log::info("{}: ACPI hands out its option ROM of {} bytes: {}", function.name(), image.size(),
            policy == nullptr ? "as configured" : policy->reason);
  return image;
}

}  // namespace

const AcpiRomPolicy* find_acpi_rom_policy(std::uint16_t vendor, std::uint32_t class_code) {
  const auto found =
      std::find_if(kPolicies.begin(), kPolicies.end(), [&](const AcpiRomPolicy& policy) {
        return policy.vendor.value_or(vendor) == vendor && policy.device_class == class_code >> 8;
      });
  return found == kPolicies.end() ? nullptr : &*found;
}

Status AcpiRoms::add(AcpiRomChoice mode, RootPort& port, std::uint8_t devfn,
                     PassthroughFunction& function) {
  const auto image = TRY(image_for_acpi(mode, function));
  std::optional<std::size_t> entry;
  if (!image.empty()) {
    entry = entries_.size();
    entries_.push_back({.port = &port, .devfn = devfn, .function = &function, .image = image});
  }
  const std::uint32_t ids = function.config_read(pci::kVendorId);
  if (low(ids) == kVendorAmd) {
    keep_from_twins({.function = &function, .ids = ids, .devfn = devfn, .entry = entry});
  }
  return {};
}

void AcpiRoms::keep_from_twins(const Reader& added) {
  for (const Reader& earlier : readers_) {
    if (!earlier.is_twin_of(added) || (!earlier.entry && !added.entry) ||
        std::ranges::equal(earlier.function->rom_image(), added.function->rom_image())) {
      continue;
    }
    leave_out_of_vfct(earlier, added);
    leave_out_of_vfct(added, earlier);
  }
  readers_.push_back(added);
}

void AcpiRoms::leave_out_of_vfct(const Reader& reader, const Reader& twin) {
  if (!reader.entry || !entries_[*reader.entry].in_vfct) {
    return;
  }
  entries_[*reader.entry].in_vfct = false;
  log::warn(
      "{}: Its option ROM is not in the ACPI table VFCT: {} has the same ids and another ROM, and "
      "drivers would take one for the other; they find it in the ROM BAR",
      reader.function->name(), twin.function->name());
}

std::vector<AcpiRom> AcpiRoms::describe() const {
  std::vector<AcpiRom> roms;
  for (const Entry& entry : entries_) {
    const std::uint32_t ids = entry.function->config_read(pci::kVendorId);
    const std::uint32_t subsystem = entry.function->config_read(pci::kSubsystemVendorId);
    const std::uint32_t buses = entry.port->config_read(pci::kPrimaryBus);
    roms.push_back({.port_path = entry.port->acpi_path(),
                    .bus = static_cast<std::uint8_t>(buses >> 8),  // the secondary one
                    .devfn = entry.devfn,
                    .vendor = low(ids),
                    .device = high(ids),
                    .subsystem_vendor = low(subsystem),
                    .subsystem_device = high(subsystem),
                    .revision = static_cast<std::uint8_t>(
                        entry.function->config_read(pci::kClassDword) & 0xff),
                    .in_vfct = entry.in_vfct,
                    .image = entry.image});
  }
  return roms;
}

}  // namespace gpuvm
