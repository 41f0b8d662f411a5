// SPDX-License-Identifier: Apache-2.0
// Layouts of the System Management BIOS Reference Specification (DMTF DSP0134), version 3.3.
// Only the specification. Little-endian, packed. A field named "…_string" is the number of a string
// behind the structure, 0 for none (6.1.3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gpuvm::smbios {

#pragma pack(push, 1)

/// 64-bit entry point, 5.2.2: on a 16-byte boundary in 0xf0000 to 0xfffff.
struct EntryPoint {
  std::array<char, 5> anchor;
  std::uint8_t checksum;
  std::uint8_t length;
  std::uint8_t major;
  std::uint8_t minor;
  std::uint8_t docrev;
  std::uint8_t revision;
  std::uint8_t reserved;
  std::uint32_t maximum_size;
  std::uint64_t table_address;
};
static_assert(sizeof(EntryPoint) == 24);

struct Header {  ///< 6.1.2
  std::uint8_t type;
  std::uint8_t length;
  std::uint16_t handle;
};
static_assert(sizeof(Header) == 4);

struct BiosInformation {  ///< 7.1, type 0
  static constexpr std::uint8_t kType = 0;
  Header header;
  std::uint8_t vendor_string;
  std::uint8_t version_string;
  std::uint16_t start_segment;
  std::uint8_t date_string;
  std::uint8_t rom_size;
  std::uint64_t characteristics;
  std::uint8_t characteristics_extension1;
  std::uint8_t characteristics_extension2;
  std::uint8_t major;
  std::uint8_t minor;
  std::uint8_t controller_major;
  std::uint8_t controller_minor;
  std::uint16_t extended_rom_size;
};
static_assert(sizeof(BiosInformation) == 0x1a);
inline constexpr std::uint64_t kBiosCharacteristicsNotSupported = 1U << 3;  ///< 7.1.1
inline constexpr std::uint8_t kBiosVirtualMachine = 1U << 4;                ///< 7.1.2.2

struct SystemInformation {  ///< 7.2, type 1
  static constexpr std::uint8_t kType = 1;
  Header header;
  std::uint8_t manufacturer_string;
  std::uint8_t product_string;
  std::uint8_t version_string;
  std::uint8_t serial_string;
  std::array<std::byte, 16> uuid;  ///< first three fields little-endian (7.2.1)
  std::uint8_t wake_up_type;
  std::uint8_t sku_string;
  std::uint8_t family_string;
};
static_assert(sizeof(SystemInformation) == 0x1b);

struct Baseboard {  ///< 7.3, type 2
  static constexpr std::uint8_t kType = 2;
  Header header;
  std::uint8_t manufacturer_string;
  std::uint8_t product_string;
  std::uint8_t version_string;
  std::uint8_t serial_string;
  std::uint8_t asset_string;
  std::uint8_t features;
  std::uint8_t location_string;
  std::uint16_t chassis_handle;
  std::uint8_t board_type;
  std::uint8_t contained_handles;
};
static_assert(sizeof(Baseboard) == 0x0f);

struct Chassis {  ///< 7.4, type 3
  static constexpr std::uint8_t kType = 3;
  Header header;
  std::uint8_t manufacturer_string;
  std::uint8_t chassis_type;
  std::uint8_t version_string;
  std::uint8_t serial_string;
  std::uint8_t asset_string;
  std::uint8_t boot_up_state;
  std::uint8_t power_supply_state;
  std::uint8_t thermal_state;
  std::uint8_t security_status;
  std::uint32_t oem_defined;
  std::uint8_t height;
  std::uint8_t power_cords;
  std::uint8_t element_count;
  std::uint8_t element_length;
  std::uint8_t sku_string;  ///< here because there are no contained elements
};
static_assert(sizeof(Chassis) == 0x16);

struct Processor {  ///< 7.5, type 4
  static constexpr std::uint8_t kType = 4;
  Header header;
  std::uint8_t socket_string;
  std::uint8_t processor_type;
  std::uint8_t family;
  std::uint8_t manufacturer_string;
  std::uint32_t id_eax;  ///< CPUID leaf 1 EAX (7.5.3.3)
  std::uint32_t id_edx;
  std::uint8_t version_string;
  std::uint8_t voltage;
  std::uint16_t external_clock;
  std::uint16_t maximum_speed;
  std::uint16_t current_speed;
  std::uint8_t status;
  std::uint8_t upgrade;
  std::uint16_t l1_handle;
  std::uint16_t l2_handle;
  std::uint16_t l3_handle;
  std::uint8_t serial_string;
  std::uint8_t asset_string;
  std::uint8_t part_string;
  std::uint8_t core_count;
  std::uint8_t core_enabled;
  std::uint8_t thread_count;
  std::uint16_t characteristics;
  std::uint16_t family2;
  std::uint16_t core_count2;
  std::uint16_t core_enabled2;
  std::uint16_t thread_count2;
};
static_assert(sizeof(Processor) == 0x30);
inline constexpr std::uint8_t kProcessorPopulatedAndEnabled = 0x41;  ///< 7.5, offset 18h
/// 7.5.9
inline constexpr std::uint16_t kProcessor64Bit = 1U << 2;
inline constexpr std::uint16_t kProcessorMultiCore = 1U << 3;
inline constexpr std::uint16_t kProcessorHardwareThread = 1U << 4;
inline constexpr std::uint16_t kProcessorExecuteProtection = 1U << 5;

struct OemStrings {  ///< 7.12, type 11
  static constexpr std::uint8_t kType = 11;
  Header header;
  std::uint8_t count;
};
static_assert(sizeof(OemStrings) == 5);

struct MemoryArray {  ///< 7.17, type 16
  static constexpr std::uint8_t kType = 16;
  Header header;
  std::uint8_t location;
  std::uint8_t use;
  std::uint8_t error_correction;
  std::uint32_t maximum_capacity;  ///< KiB
  std::uint16_t error_handle;
  std::uint16_t device_count;
  std::uint64_t extended_maximum_capacity;  ///< bytes, when the other is 0x80000000
};
static_assert(sizeof(MemoryArray) == 0x17);

struct MemoryDevice {  ///< 7.18, type 17
  static constexpr std::uint8_t kType = 17;
  Header header;
  std::uint16_t array_handle;
  std::uint16_t error_handle;
  std::uint16_t total_width;
  std::uint16_t data_width;
  std::uint16_t size;  ///< MiB, 0x7fff: see extended_size
  std::uint8_t form_factor;
  std::uint8_t device_set;
  std::uint8_t locator_string;
  std::uint8_t bank_string;
  std::uint8_t memory_type;
  std::uint16_t type_detail;
  std::uint16_t speed;
  std::uint8_t manufacturer_string;
  std::uint8_t serial_string;
  std::uint8_t asset_string;
  std::uint8_t part_string;
  std::uint8_t attributes;
  std::uint32_t extended_size;  ///< MiB
  std::uint16_t configured_speed;
  std::uint16_t minimum_voltage;
  std::uint16_t maximum_voltage;
  std::uint16_t configured_voltage;
  // From here on version 3.2.
  std::uint8_t technology;
  std::uint16_t operating_modes;
  std::uint8_t firmware_version_string;
  std::uint16_t module_manufacturer;  ///< 0: unknown, as the three that follow
  std::uint16_t module_product;
  std::uint16_t controller_manufacturer;
  std::uint16_t controller_product;
  std::uint64_t non_volatile_size;  ///< bytes, 0: none, as the three that follow
  std::uint64_t volatile_size;
  std::uint64_t cache_size;
  std::uint64_t logical_size;
  // From here on version 3.3, MT/s where speed is 0xffff.
  std::uint32_t extended_speed;
  std::uint32_t extended_configured_speed;
};
static_assert(sizeof(MemoryDevice) == 0x5c);                   // 3.3's length
inline constexpr std::uint8_t kMemoryTechnologyUnknown = 2;    ///< 7.18.6
inline constexpr std::uint16_t kMemoryModeVolatile = 1U << 3;  ///< 7.18.7

struct MemoryArrayMapped {  ///< 7.20, type 19
  static constexpr std::uint8_t kType = 19;
  Header header;
  std::uint32_t start;  ///< KiB, all ones: see extended_start
  std::uint32_t end;    ///< KiB, of the last KiB
  std::uint16_t array_handle;
  std::uint8_t partition_width;
  std::uint64_t extended_start;  ///< bytes
  std::uint64_t extended_end;    ///< the last byte
};
static_assert(sizeof(MemoryArrayMapped) == 0x1f);

struct BootInformation {  ///< 7.33, type 32
  static constexpr std::uint8_t kType = 32;
  Header header;
  std::array<std::uint8_t, 6> reserved;
  std::uint8_t status;
};
static_assert(sizeof(BootInformation) == 0x0b);

struct EndOfTable {  ///< 7.45, type 127
  static constexpr std::uint8_t kType = 127;
  Header header;
};
static_assert(sizeof(EndOfTable) == 4);

#pragma pack(pop)

}  // namespace gpuvm::smbios
