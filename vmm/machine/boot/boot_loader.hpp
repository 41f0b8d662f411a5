// SPDX-License-Identifier: Apache-2.0
// What the guest finds in its memory at power-on: ACPI and SMBIOS tables, then the kernel by
// `[boot] mode`.
#pragma once

#include <memory>
#include <vector>

#include "firmware/acpi/acpi_blobs.hpp"
#include "firmware/acpi/acpi_numa.hpp"
#include "firmware/acpi/acpi_rom.hpp"
#include "firmware/acpi/acpi_source.hpp"
#include "firmware/linux/cpu_entry_state.hpp"
#include "firmware/linux/linux_image.hpp"
#include "firmware/smbios/smbios.hpp"
#include "vmm/base/cpu_topology.hpp"
#include "vmm/base/file.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/boot/handover_boot.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// What the tables say of the machine besides its configuration.
struct GuestTables {
  CpuTopology cpus = CpuTopology::one_package(1);
  std::shared_ptr<const AcpiSource> described = {};  ///< one of those that follow; made for this
  std::vector<const AcpiSource*> acpi_sources;       ///< in the order of the DSDT
  std::vector<AcpiRom> acpi_roms = {};               ///< that ACPI hands out
  std::vector<GuestRange> device_memory = {};        ///< soft reserved
  std::optional<AcpiNuma> numa = {};                 ///< absent: no NUMA
  unsigned buses = 1;                                ///< PCI buses from 0 up
  GuestAddress ecam = layout::kEcamBase;             ///< where the guest sees it
  TreePci pci;                                       ///< for EFI firmware, without its functions
  std::vector<FirmwareFunction> functions;           ///< passed through
  std::vector<std::string> oem_strings = {};         ///< of SMBIOS; they may be secrets
  FileOpener open_file = {};                         ///< of kernel and initrd
};

/// The ACPI tables, for a firmware that places them.
Result<AcpiBlobs> acpi_blobs(const Config& config, const GuestTables& tables);

/// The SMBIOS tables, for the same; of `tables` the processors and strings.
Result<SmbiosParts> smbios_parts(const Config& config, const GuestMemory& memory,
                                 const GuestTables& tables);

/// Errors: kConfig where the kernel takes fewer than boot.cmdline's bytes.
Status check_command_line(const BootConfig& boot, std::uint64_t limit);

/// Reads and examines boot.kernel for mode "linux", and its command line. Needs nothing of the
/// machine. Errors: kConfig.
Result<LinuxImage> read_kernel(const BootConfig& boot, const FileOpener& open = {});

/// Writes tables and kernel into guest memory: `kernel` in mode "linux", what `efi` reads itself
/// otherwise; the other one is null. No vCPU runs. Errors: kConfig for files.
Result<CpuEntryState> load_guest(const Config& config, const GuestMemory& memory,
                                 const GuestTables& tables, const LinuxImage* kernel,
                                 HandoverBoot* efi);

/// The device tree of a guest in EFI mode that does not run; `memory` is scratch. Errors: kConfig.
Result<std::vector<std::byte>> make_guest_tree(const Config& config, const GuestMemory& memory,
                                               const GuestTables& tables);

}  // namespace gpuvm
