// SPDX-License-Identifier: Apache-2.0
// Layouts of ACPI 6.5, chapter 5, of the PCI Firmware Specification 3.3, 4.1.2 (MCFG), and of AMD's
// VFCT, which no public document specifies (Linux, drivers/gpu/drm/amd/include/atombios.h).
// Only the specification: no behaviour, no values of ours. Little-endian, packed.
#pragma once

#include <array>
#include <cstdint>

namespace gpuvm::acpi {

#pragma pack(push, 1)

/// Root System Description Pointer, 5.2.5.3. Found on a 16-byte boundary in 0xe0000 to 0xfffff
/// (5.2.5.1). checksum covers the first 20 bytes, extended_checksum all.
struct Rsdp {
  std::array<char, 8> signature;
  std::uint8_t checksum;
  std::array<char, 6> oem_id;
  std::uint8_t revision;
  std::uint32_t rsdt_address;
  std::uint32_t length;
  std::uint64_t xsdt_address;
  std::uint8_t extended_checksum;
  std::array<std::uint8_t, 3> reserved;
};
static_assert(sizeof(Rsdp) == 36);
inline constexpr std::uint32_t kRsdpChecksummedLength = 20;  ///< of the first checksum

/// System description table header, 5.2.6.
struct TableHeader {
  std::array<char, 4> signature;
  std::uint32_t length;
  std::uint8_t revision;
  std::uint8_t checksum;
  std::array<char, 6> oem_id;
  std::array<char, 8> oem_table_id;
  std::uint32_t oem_revision;
  std::array<char, 4> creator_id;
  std::uint32_t creator_revision;
};
static_assert(sizeof(TableHeader) == 36);

/// Generic Address Structure, 5.2.3.2.
struct GenericAddress {
  std::uint8_t space;
  std::uint8_t bit_width;
  std::uint8_t bit_offset;
  std::uint8_t access_size;
  std::uint64_t address;
};
static_assert(sizeof(GenericAddress) == 12);
inline constexpr std::uint8_t kSpaceSystemIo = 1;
enum class AccessSize : std::uint8_t { kUndefined = 0, kByte = 1, kWord = 2, kDword = 3 };

/// Fixed ACPI Description Table, 5.2.9, revision 6.
struct Fadt {
  TableHeader header;
  std::uint32_t firmware_ctrl;
  std::uint32_t dsdt;
  std::uint8_t reserved_model;
  std::uint8_t preferred_pm_profile;
  std::uint16_t sci_interrupt;
  std::uint32_t smi_command;
  std::uint8_t acpi_enable;
  std::uint8_t acpi_disable;
  std::uint8_t s4bios_request;
  std::uint8_t pstate_control;
  std::uint32_t pm1a_event_block;
  std::uint32_t pm1b_event_block;
  std::uint32_t pm1a_control_block;
  std::uint32_t pm1b_control_block;
  std::uint32_t pm2_control_block;
  std::uint32_t pm_timer_block;
  std::uint32_t gpe0_block;
  std::uint32_t gpe1_block;
  std::uint8_t pm1_event_length;
  std::uint8_t pm1_control_length;
  std::uint8_t pm2_control_length;
  std::uint8_t pm_timer_length;
  std::uint8_t gpe0_length;
  std::uint8_t gpe1_length;
  std::uint8_t gpe1_base;
  std::uint8_t cst_control;
  std::uint16_t c2_latency;
  std::uint16_t c3_latency;
  std::uint16_t flush_size;
  std::uint16_t flush_stride;
  std::uint8_t duty_offset;
  std::uint8_t duty_width;
  std::uint8_t day_alarm;
  std::uint8_t month_alarm;
  std::uint8_t century;
  std::uint16_t boot_architecture;
  std::uint8_t reserved1;
  std::uint32_t flags;
  GenericAddress reset_register;
  std::uint8_t reset_value;
  std::uint16_t arm_boot_architecture;
  std::uint8_t minor_version;
  std::uint64_t x_firmware_ctrl;
  std::uint64_t x_dsdt;
  GenericAddress x_pm1a_event_block;
  GenericAddress x_pm1b_event_block;
  GenericAddress x_pm1a_control_block;
  GenericAddress x_pm1b_control_block;
  GenericAddress x_pm2_control_block;
  GenericAddress x_pm_timer_block;
  GenericAddress x_gpe0_block;
  GenericAddress x_gpe1_block;
  GenericAddress sleep_control_register;
  GenericAddress sleep_status_register;
  std::array<char, 8> hypervisor_vendor;
};
static_assert(sizeof(Fadt) == 276);

/// Fixed feature flags, 5.2.9, table 5.10.
inline constexpr std::uint32_t kFadtWbinvd = 1U << 0;
inline constexpr std::uint32_t kFadtProcC1 = 1U << 2;
inline constexpr std::uint32_t kFadtPowerButtonIsDevice =
    1U << 4;  ///< PWR_BUTTON: clear means a fixed feature button
inline constexpr std::uint32_t kFadtNoFixedSleepButton = 1U << 5;  ///< SLP_BUTTON
inline constexpr std::uint32_t kFadtNoFixedRtcWake = 1U << 6;      ///< FIX_RTC
inline constexpr std::uint32_t kFadtTimerIs32Bit = 1U << 8;        ///< TMR_VAL_EXT
inline constexpr std::uint32_t kFadtResetRegister = 1U << 10;      ///< RESET_REG_SUP

/// IA-PC boot architecture flags, 5.2.9.3, table 5.11.
inline constexpr std::uint16_t kBootLegacyDevices = 1U << 0;
inline constexpr std::uint16_t kBoot8042 = 1U << 1;
inline constexpr std::uint16_t kBootNoVga = 1U << 2;
inline constexpr std::uint16_t kBootNoMsi = 1U << 3;
inline constexpr std::uint16_t kBootNoAspm = 1U << 4;
inline constexpr std::uint16_t kBootNoCmosRtc = 1U << 5;

/// Firmware ACPI Control Structure, 5.2.10: 64-byte aligned, no checksum.
struct Facs {
  std::array<char, 4> signature;
  std::uint32_t length;
  std::uint32_t hardware_signature;
  std::uint32_t waking_vector;
  std::uint32_t global_lock;
  std::uint32_t flags;
  std::uint64_t x_waking_vector;
  std::uint8_t version;
  std::array<std::uint8_t, 3> reserved0;
  std::uint32_t ospm_flags;
  std::array<std::uint8_t, 24> reserved1;
};
static_assert(sizeof(Facs) == 64);
inline constexpr std::uint32_t kFacsAlignment = 64;

/// Multiple APIC Description Table, 5.2.12; interrupt controller structures follow.
struct Madt {
  TableHeader header;
  std::uint32_t local_apic_address;
  std::uint32_t flags;
};
static_assert(sizeof(Madt) == 44);
inline constexpr std::uint32_t kMadtPcatCompatible = 1;  ///< two 8259 are there

enum class MadtType : std::uint8_t {
  kLocalApic = 0,
  kIoApic = 1,
  kInterruptOverride = 2,
  kLocalApicNmi = 4,
  kLocalX2apic = 9,
  kLocalX2apicNmi = 0x0a,
};

struct MadtLocalApic {  ///< 5.2.12.2
  MadtType type;
  std::uint8_t length;
  std::uint8_t processor_uid;
  std::uint8_t apic_id;
  std::uint32_t flags;
};
static_assert(sizeof(MadtLocalApic) == 8);
inline constexpr std::uint32_t kMadtProcessorEnabled = 1;

struct MadtIoApic {  ///< 5.2.12.3
  MadtType type;
  std::uint8_t length;
  std::uint8_t id;
  std::uint8_t reserved;
  std::uint32_t address;
  std::uint32_t gsi_base;
};
static_assert(sizeof(MadtIoApic) == 12);

struct MadtInterruptOverride {  ///< 5.2.12.5
  MadtType type;
  std::uint8_t length;
  std::uint8_t bus;
  std::uint8_t source;
  std::uint32_t gsi;
  std::uint16_t flags;
};
static_assert(sizeof(MadtInterruptOverride) == 10);
/// MPS INTI flags, table 5.26.
inline constexpr std::uint16_t kIntiConforming = 0;
inline constexpr std::uint16_t kIntiActiveHigh = 1;
inline constexpr std::uint16_t kIntiLevel = 3U << 2;

struct MadtLocalApicNmi {  ///< 5.2.12.7
  MadtType type;
  std::uint8_t length;
  std::uint8_t processor_uid;
  std::uint16_t flags;
  std::uint8_t lint;
};
static_assert(sizeof(MadtLocalApicNmi) == 6);

struct MadtLocalX2apic {  ///< 5.2.12.12
  MadtType type;
  std::uint8_t length;
  std::uint16_t reserved;
  std::uint32_t apic_id;
  std::uint32_t flags;
  std::uint32_t processor_uid;
};
static_assert(sizeof(MadtLocalX2apic) == 16);

struct MadtLocalX2apicNmi {  ///< 5.2.12.13
  MadtType type;
  std::uint8_t length;
  std::uint16_t flags;
  std::uint32_t processor_uid;
  std::uint8_t lint;
  std::array<std::uint8_t, 3> reserved;
};
static_assert(sizeof(MadtLocalX2apicNmi) == 12);

/// PCI Firmware Specification 3.3, 4.1.2, table 4-2; allocations follow.
struct Mcfg {
  TableHeader header;
  std::uint64_t reserved;
};
static_assert(sizeof(Mcfg) == 44);

/// Table 4-3.
struct McfgAllocation {
  std::uint64_t base;  ///< of bus 0 of the segment, even where first_bus is not 0
  std::uint16_t segment;
  std::uint8_t first_bus;
  std::uint8_t last_bus;
  std::uint32_t reserved;
};
static_assert(sizeof(McfgAllocation) == 16);

/// System Resource Affinity Table after its header, 5.2.16; affinity structures follow.
struct SratBody {
  std::uint32_t reserved0;  ///< must be 1
  std::uint64_t reserved1;
};
static_assert(sizeof(SratBody) == 12);

enum class SratType : std::uint8_t {
  kLocalApic = 0,
  kMemory = 1,
  kX2apic = 2,
  kGenericInitiator = 5,
};
inline constexpr std::uint32_t kSratEnabled = 1U << 0;
inline constexpr std::uint32_t kSratHotPluggable = 1U << 1;  ///< memory only

struct SratLocalApic {  ///< 5.2.16.1
  SratType type;
  std::uint8_t length;
  std::uint8_t domain_low;
  std::uint8_t apic_id;
  std::uint32_t flags;
  std::uint8_t sapic_eid;
  std::array<std::uint8_t, 3> domain_high;
  std::uint32_t clock_domain;
};
static_assert(sizeof(SratLocalApic) == 16);

struct SratMemory {  ///< 5.2.16.2
  SratType type;
  std::uint8_t length;
  std::uint32_t domain;
  std::uint16_t reserved0;
  std::uint64_t base;
  std::uint64_t size;
  std::uint32_t reserved1;
  std::uint32_t flags;
  std::uint64_t reserved2;
};
static_assert(sizeof(SratMemory) == 40);

struct SratX2apic {  ///< 5.2.16.3
  SratType type;
  std::uint8_t length;
  std::uint16_t reserved0;
  std::uint32_t domain;
  std::uint32_t apic_id;
  std::uint32_t flags;
  std::uint32_t clock_domain;
  std::uint32_t reserved1;
};
static_assert(sizeof(SratX2apic) == 24);

struct SratInitiator {  ///< 5.2.16.6, with the device handle of a PCI function (table 5.66)
  SratType type;
  std::uint8_t length;
  std::uint8_t reserved0;
  std::uint8_t handle_type;
  std::uint32_t domain;
  std::uint16_t segment;
  std::uint8_t bus;
  std::uint8_t devfn;
  std::array<std::uint8_t, 12> reserved1;
  std::uint32_t flags;
  std::uint32_t reserved2;
};
static_assert(sizeof(SratInitiator) == 32);
inline constexpr std::uint8_t kSratHandlePci = 1;

/// Heterogeneous Memory Attribute Table, 5.2.27: types of its structures.
inline constexpr std::uint16_t kHmatProximity = 0;
inline constexpr std::uint16_t kHmatLocality = 1;

struct HmatProximity {  ///< 5.2.27.3
  std::uint16_t type;
  std::uint16_t reserved0;
  std::uint32_t length;
  std::uint16_t flags;
  std::uint16_t reserved1;
  std::uint32_t initiator;
  std::uint32_t memory;
  std::array<std::uint8_t, 20> reserved2;
};
static_assert(sizeof(HmatProximity) == 40);
inline constexpr std::uint16_t kHmatInitiatorValid = 1;

struct HmatLocality {  ///< 5.2.27.4; domains and entries follow
  std::uint16_t type;
  std::uint16_t reserved0;
  std::uint32_t length;
  std::uint8_t flags;  ///< 0: memory
  std::uint8_t data_type;
  std::uint8_t minimum_transfer;
  std::uint8_t reserved1;
  std::uint32_t initiators;
  std::uint32_t targets;
  std::uint32_t reserved2;
  std::uint64_t base_unit;  ///< of the entries: picoseconds
};
static_assert(sizeof(HmatLocality) == 32);
inline constexpr std::uint8_t kHmatAccessLatency = 0;

/// VFCT after its header; images follow, each behind a VfctImage.
struct VfctBody {
  std::array<std::uint8_t, 16> uuid;
  std::uint32_t first_image;    ///< offset of the first VfctImage in the table
  std::uint32_t first_library;  ///< 0: none
  std::array<std::uint32_t, 4> reserved;
};
static_assert(sizeof(VfctBody) == 40);

struct VfctImage {
  std::uint32_t bus;
  std::uint32_t device;
  std::uint32_t function;
  std::uint16_t vendor;
  std::uint16_t device_id;
  std::uint16_t subsystem_vendor;
  std::uint16_t subsystem_device;
  std::uint32_t revision;
  std::uint32_t length;  ///< of the image, which follows
};
static_assert(sizeof(VfctImage) == 28);

#pragma pack(pop)

}  // namespace gpuvm::acpi
