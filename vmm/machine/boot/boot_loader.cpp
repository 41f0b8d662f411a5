// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/boot_loader.hpp"

#include <algorithm>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/mc146818.hpp"
#include "devices/platform/reset_port.hpp"
#include "firmware/acpi/acpi_tables.hpp"
#include "firmware/linux/linux_boot.hpp"
#include "firmware/linux/linux_layout.hpp"
#include "firmware/smbios/smbios.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/memory/kvm_pages.hpp"

namespace gpuvm {
namespace {

AcpiInput acpi_input(const Config& config, const GuestTables& tables) {
  AcpiInput input;
  input.apic_ids.assign(tables.cpus.apic_ids().begin(), tables.cpus.apic_ids().end());
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
  input.is_portable = config.machine.battery;
  input.sources = tables.acpi_sources;
  input.roms = tables.acpi_roms;
  input.numa = tables.numa;
  return input;
}

/// Where the guest's kernel finds ACPI, and the memory that it must leave alone for it.
struct PlacedAcpi {
  GuestAddress rsdp;
  std::optional<GuestRange> data = {};
};

/// At the end of low RAM, where no kernel wants to be.
Result<GuestRange> place_of_data(const GuestMemory& memory, std::uint64_t bytes) {
  const std::uint64_t low = memory.regions().front().range.size();
  const std::uint64_t size = align_up(bytes, kPageSize);
  if (size > low / 2) {
    return fail(ErrorKind::kConfig,
                "{} MiB of option ROMs for ACPI do not fit into the guest's memory; raise it, or "
                "set acpi_rom = \"off\"",
                size >> 20);
  }
  return *GuestRange::create(GuestAddress(low - size), size);
}

Result<PlacedAcpi> place_acpi_tables(const Config& config, const GuestMemory& memory,
                                     const GuestTables& tables) {
  const auto area = *GuestRange::create(layout::kAcpiBase, layout::kAcpiSize);
  auto blobs = TRY(build_acpi_blobs(acpi_input(config, tables)));
  PlacedAcpi placed;
  std::optional<GuestAddress> data;
  if (!blobs.data.empty()) {
    placed.data = TRY(place_of_data(memory, blobs.data.size()));
    data = placed.data->base();
  }
  const auto image = TRY(place_acpi(std::move(blobs), area, data));
  if (!memory.write(image.base, image.bytes) ||
      (data && !memory.write(image.data_base, image.data))) {
    return fail(ErrorKind::kInternal, "The ACPI tables do not fit into guest memory");
  }
  placed.rsdp = image.rsdp();
  return placed;
}

SmbiosInput smbios_input(const Config& config, const GuestMemory& memory,
                         const GuestTables& tables) {
  SmbiosInput input;
  input.uuid = machine_uuid(config.name);
  input.machine_name = config.name;
  input.processors.sockets = tables.cpus.packages();
  input.processors.cores_per_socket = tables.cpus.cores_per_package();
  input.oem_strings = tables.oem_strings;
  for (const auto& region : memory.regions()) {
    input.ram.push_back(region.range);
  }
  return input;
}

Result<GuestAddress> place_smbios(const Config& config, const GuestMemory& memory,
                                  const GuestTables& tables) {
  const auto image = TRY(build_smbios(smbios_input(config, memory, tables)));
  if (!memory.write(image.base, image.bytes)) {
    return fail(ErrorKind::kInternal, "The SMBIOS tables do not fit into guest memory");
  }
  return image.base;
}

std::vector<E820Entry> reserved_ranges(const PlacedAcpi& acpi, const GuestTables& tables) {
  std::vector<E820Entry> ranges = {
      {*GuestRange::create(layout::kAcpiBase, layout::kAcpiSize + layout::kSmbiosSize),
       E820Type::kReserved},
      {*GuestRange::create(layout::kEcamBase, layout::kEcamSize), E820Type::kReserved},
      {*GuestRange::create(kKvmPagesBase, kKvmPagesSize), E820Type::kReserved},
  };
  if (acpi.data) {
    ranges.push_back({*acpi.data, E820Type::kAcpiNvs});
  }
  for (const auto& range : tables.device_memory) {
    ranges.push_back({range, E820Type::kSoftReserved});
  }
  return ranges;
}

HandoverBoot::Load efi_load(const Config& config, const GuestTables& tables, const PlacedAcpi& acpi,
                            GuestAddress smbios) {
  return {.config = config,
          .rsdp = acpi.rsdp,
          .smbios3 = smbios,
          .reserved = reserved_ranges(acpi, tables),
          .numa = tables.numa,
          .pci = tables.pci,
          .functions = tables.functions,
          .open_file = tables.open_file};
}

Result<CpuEntryState> load_linux_guest(const Config& config, const GuestMemory& memory,
                                       const PlacedAcpi& acpi, const GuestTables& tables,
                                       const LinuxImage& kernel) {
  LinuxBootOptions options;
  options.kernel = &kernel;
  options.initrd_path = config.boot.initrd.value_or("");
  options.open_file = tables.open_file;
  options.command_line = config.boot.cmdline;
  options.rsdp = acpi.rsdp;
  options.reserved = reserved_ranges(acpi, tables);
  options.setup_data = rom_setup_data(tables.functions);
  options.unpacks = config.boot.decompress == Unpacker::kHost && kernel.is_bzimage();
  return load_linux(memory, options);
}

}  // namespace

Status check_command_line(const BootConfig& boot, std::uint64_t limit) {
  if (boot.cmdline.size() <= limit) {
    return {};
  }
  return fail(ErrorKind::kConfig,
              "The command line has {} bytes, but the kernel {} takes at most {}; shorten it",
              boot.cmdline.size(), boot.kernel, limit);
}

Result<LinuxImage> read_kernel(const BootConfig& boot, const FileOpener& open) {
  auto kernel = TRY_CONTEXT(LinuxImage::load(boot.kernel, open), "boot.kernel");
  log::debug("Kernel {}: {}", kernel.path(), kernel.release());
  if (boot.decompress == Unpacker::kHost && kernel.is_bzimage() && kernel.payload() == nullptr) {
    return fail(
        ErrorKind::kConfig,
        "{} has a payload of none of gzip, xz, zstd and LZ4: it can only unpack itself; remove "
        "decompress = \"host\" from [boot]",
        kernel.path());
  }
  TRY(check_command_line(
      boot, std::min(kernel.command_line_max(), std::uint64_t{linux_layout::kCommandLineMax - 1})));
  return kernel;
}

Result<AcpiBlobs> acpi_blobs(const Config& config, const GuestTables& tables) {
  return build_acpi_blobs(acpi_input(config, tables));
}

Result<SmbiosParts> smbios_parts(const Config& config, const GuestMemory& memory,
                                 const GuestTables& tables) {
  return build_smbios_parts(smbios_input(config, memory, tables));
}

Result<CpuEntryState> load_guest(const Config& config, const GuestMemory& memory,
                                 const GuestTables& tables, const LinuxImage* kernel,
                                 HandoverBoot* efi) {
  const PlacedAcpi acpi = TRY(place_acpi_tables(config, memory, tables));
  const GuestAddress smbios = TRY(place_smbios(config, memory, tables));
  if (efi != nullptr) {
    return efi->load(efi_load(config, tables, acpi, smbios));
  }
  return load_linux_guest(config, memory, acpi, tables, *kernel);
}

Result<std::vector<std::byte>> make_guest_tree(const Config& config, const GuestMemory& memory,
                                               const GuestTables& tables) {
  const PlacedAcpi acpi = TRY(place_acpi_tables(config, memory, tables));
  const GuestAddress smbios = TRY(place_smbios(config, memory, tables));
  return HandoverBoot::make_tree(memory, efi_load(config, tables, acpi, smbios));
}

}  // namespace gpuvm
