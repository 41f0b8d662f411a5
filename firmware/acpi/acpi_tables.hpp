// SPDX-License-Identifier: Apache-2.0
// The machine's ACPI tables (ACPI 6.5, chapter 5): RSDP, XSDT, FADT, FACS, MADT, MCFG, SRAT, SLIT,
// HMAT, VFCT and a DSDT collected from AcpiSources. The platform is not hardware-reduced: PM1a and
// PM timer ports, a fixed power button, ACPI always enabled (no SMI command port, so PM1_CNT.SCI_EN
// must read 1).
// \_S5 comes from the source that implements those ports, the motherboard resource that reserves
// the ECAM (without which guests do not trust the MCFG) from that of the host bridge.
//
// Missing: HPET, S3 and S4, general purpose events, CPU and memory hotplug, and
// WAET (a hint for Windows only).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "firmware/acpi/acpi_blobs.hpp"
#include "firmware/acpi/acpi_numa.hpp"
#include "firmware/acpi/acpi_rom.hpp"
#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

/// Power management ports; the defaults are those of a Q35 chipset with its base at 0x600.
struct AcpiPowerPorts {
  IoPort pm1_event{0x600};    ///< 4 bytes: status, enable
  IoPort pm1_control{0x604};  ///< 2 bytes
  IoPort pm_timer{0x608};     ///< 4 bytes
  bool timer_has_32_bits = true;
  IoPort reset{0xcf9};  ///< 1 byte
  std::uint8_t reset_value = 0x06;
};

/// Memory-mapped configuration space of segment 0.
struct AcpiEcam {
  GuestAddress base;  ///< of bus 0
  std::uint8_t first_bus = 0;
  std::uint8_t last_bus = 255;
};

struct AcpiInput {
  /// Local APIC ids of the vCPUs, each another one; vCPU n gets processor UID n. 1 to 4096 of them.
  /// Ascending, if any is above 254.
  std::vector<std::uint32_t> apic_ids;
  GuestAddress local_apic{0xfee0'0000};
  GuestAddress io_apic{0xfec0'0000};
  std::uint8_t io_apic_id = 0;  ///< as the I/O APIC's ID register reads after its reset
  Gsi sci{9};                   ///< level, active high; 0 to 15
  bool has_8259 = true;         ///< KVM's in-kernel irqchip has them
  bool has_pit = true;          ///< the PIT's IRQ 0 arrives at GSI 2
  bool has_cmos_rtc = true;
  std::uint8_t rtc_century = 0x32;  ///< CMOS index of the century, 0 for none
  bool has_legacy_uart = true;      ///< a device that users see on ISA or LPC
  /// Whether VGA ports and 0xa0000 may be probed blindly.
  bool has_vga = false;
  bool is_portable = false;  ///< runs on a battery
  AcpiPowerPorts power;
  std::optional<AcpiEcam> ecam;
  /// In the order in which their terms appear; must outlive the call.
  std::vector<const AcpiSource*> sources;
  /// Handed out by _ROM methods, which come after all sources, and by the VFCT.
  std::vector<AcpiRom> roms;
  std::optional<AcpiNuma> numa;  ///< absent: all is equally near
};

/// Tables without addresses. Errors: kInternal for an input out of range.
Result<AcpiBlobs> build_acpi_blobs(const AcpiInput& input);

struct AcpiImage {
  GuestAddress base;             ///< where bytes go; the RSDP is at this address
  std::vector<std::byte> bytes;  ///< RSDP, then the tables
  GuestAddress data_base = {};   ///< where data go
  std::vector<std::byte> data = {};
  GuestAddress rsdp() const { return base; }
};

/// Where the tables go unless the caller knows better: the half of the firmware area that SMBIOS
/// does not use. The guest's memory map must show it as reserved or ACPI memory, not as RAM.
inline constexpr GuestRange kAcpiArea = *GuestRange::create(GuestAddress(0xe'0000), 64_KiB);

/// Tables placed at the start of area, which lies in 0xe0000 to 0xfffff so that a guest without
/// boot_params.acpi_rsdp_addr finds the RSDP (5.2.5.1), and AcpiBlobs::data, where there are any,
/// at `data`, in memory that the guest's map shows as ACPI NVS. Errors: kInternal for a wrong
/// place, kConfig if the tables do not fit.
Result<AcpiImage> place_acpi(AcpiBlobs blobs, GuestRange area, std::optional<GuestAddress> data);

/// Both at once, for an input without data. Errors: as above, kInternal for an input out of range.
Result<AcpiImage> build_acpi(const AcpiInput& input, GuestRange area = kAcpiArea);

}  // namespace gpuvm
