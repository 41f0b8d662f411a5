// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot_loader.hpp"

#include <numeric>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/mc146818.hpp"
#include "devices/platform/reset_port.hpp"
#include "firmware/acpi/acpi_tables.hpp"
#include "firmware/linux/linux_boot.hpp"
#include "firmware/smbios/smbios.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/layout.hpp"

namespace gpuvm {
namespace {

AcpiInput acpi_input(const Config& config, const GuestTables& tables) {
  AcpiInput input;
  input.apic_ids.resize(config.machine.cpus);
  std::iota(input.apic_ids.begin(), input.apic_ids.end(), 0U);
  input.local_apic = layout::kLocalApicBase;
  input.io_apic = layout::kIoApicBase;
  input.sci = kSciGsi;
  input.rtc_century = Mc146818::kCentury;
  input.power.pm1_event = kAcpiPmBase + kPm1EventOffset;
  input.power.pm1_control = kAcpiPmBase + kPm1ControlOffset;
  input.power.pm_timer = kAcpiPmBase + kPmTimerOffset;
  input.power.reset = kResetPort;
  input.power.reset_value = kResetValue;
  input.ecam =
      AcpiEcam{.base = tables.ecam, .last_bus = static_cast<std::uint8_t>(tables.buses - 1)};
  input.sources = tables.acpi_sources;
  return input;
}

Result<GuestAddress> place_acpi(const Config& config, const GuestMemory& memory,
                                const GuestTables& tables) {
  const auto area = *GuestRange::create(layout::kAcpiBase, layout::kAcpiSize);
  const auto image = TRY(build_acpi(acpi_input(config, tables), area));
  if (!memory.write(image.base, image.bytes)) {
    return fail(ErrorKind::kInternal, "The ACPI tables do not fit into guest memory");
  }
  return image.rsdp();
}

SmbiosInput smbios_input(const Config& config, const GuestMemory& memory) {
  SmbiosInput input;
  input.uuid = machine_uuid(config.name);
  input.machine_name = config.name;
  input.processors.cores_per_socket = config.machine.cpus;
  for (const auto& region : memory.regions()) {
    input.ram.push_back(region.range);
  }
  return input;
}

Result<GuestAddress> place_smbios(const Config& config, const GuestMemory& memory) {
  const auto image = TRY(build_smbios(smbios_input(config, memory)));
  if (!memory.write(image.base, image.bytes)) {
    return fail(ErrorKind::kInternal, "The SMBIOS tables do not fit into guest memory");
  }
  return image.base;
}

std::vector<E820Entry> reserved_ranges() {
  return {
      {*GuestRange::create(layout::kAcpiBase, layout::kAcpiSize + layout::kSmbiosSize),
       E820Type::kReserved},
      {*GuestRange::create(layout::kEcamBase, layout::kEcamSize), E820Type::kReserved},
      {*GuestRange::create(layout::kKvmPagesBase, layout::kKvmPagesSize), E820Type::kReserved},
  };
}

EfiBoot::Load efi_load(const Config& config, const GuestTables& tables, GuestAddress rsdp,
                       GuestAddress smbios) {
  return {.config = config,
          .rsdp = rsdp,
          .smbios3 = smbios,
          .reserved = reserved_ranges(),
          .pci = tables.pci,
          .functions = tables.functions};
}

Result<CpuEntryState> load_linux_guest(const Config& config, const GuestMemory& memory,
                                       GuestAddress rsdp,
                                       std::span<const FirmwareFunction> functions,
                                       const LinuxImage& kernel) {
  LinuxBootOptions options;
  options.kernel = &kernel;
  options.initrd_path = config.boot.initrd.value_or("");
  options.command_line = config.boot.cmdline;
  options.rsdp = rsdp;
  options.reserved = reserved_ranges();
  options.setup_data = rom_setup_data(functions);
  return load_linux(memory, options);
}

}  // namespace

Result<LinuxImage> read_kernel(const Config& config) {
  auto kernel = TRY_CONTEXT(LinuxImage::load(config.boot.kernel), "boot.kernel");
  log::debug("Kernel {}: {}", kernel.path(), kernel.release());
  return kernel;
}

Result<AcpiBlobs> acpi_blobs(const Config& config, const GuestTables& tables) {
  return build_acpi_blobs(acpi_input(config, tables));
}

Result<SmbiosParts> smbios_parts(const Config& config, const GuestMemory& memory) {
  return build_smbios_parts(smbios_input(config, memory));
}

Result<CpuEntryState> load_guest(const Config& config, const GuestMemory& memory,
                                 const GuestTables& tables, const LinuxImage* kernel,
                                 EfiBoot* efi) {
  const GuestAddress rsdp = TRY(place_acpi(config, memory, tables));
  const GuestAddress smbios = TRY(place_smbios(config, memory));
  if (efi != nullptr) {
    return efi->load(efi_load(config, tables, rsdp, smbios));
  }
  return load_linux_guest(config, memory, rsdp, tables.functions, *kernel);
}

Result<std::vector<std::byte>> make_guest_tree(const Config& config, const GuestMemory& memory,
                                               const GuestTables& tables) {
  const GuestAddress rsdp = TRY(place_acpi(config, memory, tables));
  const GuestAddress smbios = TRY(place_smbios(config, memory));
  return EfiBoot::make_tree(memory, efi_load(config, tables, rsdp, smbios));
}

}  // namespace gpuvm
