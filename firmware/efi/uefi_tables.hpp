// SPDX-License-Identifier: Apache-2.0
// UEFI's tables of services and the protocols that this firmware offers, as structures of function
// pointers. Specification: UEFI 2.10, sections 4.3 to 4.5 (tables), 9.1 (loaded image), 10.2
// (device path), 12.4 (text output), 13.2 (LoadFile2), 14.4 (PCI I/O), 37.5 (random numbers). A
// service that the firmware does not implement has the type Unsupported; its caller passes what it
// likes, because the Microsoft convention leaves arguments to the caller.
#pragma once

#include "firmware/efi/uefi_types.hpp"

namespace gpuvm::efi {

using Unsupported = EfiStatus(GPUVM_EFIAPI*)();
inline EfiStatus GPUVM_EFIAPI unsupported() {
  return EfiStatus::kUnsupported;
}

struct BootServices {
  TableHeader header;
  std::uint64_t(GPUVM_EFIAPI* raise_tpl)(std::uint64_t level);
  void(GPUVM_EFIAPI* restore_tpl)(std::uint64_t level);
  EfiStatus(GPUVM_EFIAPI* allocate_pages)(AllocateType how, MemoryType type, std::uint64_t pages,
                                          std::uint64_t* address);
  EfiStatus(GPUVM_EFIAPI* free_pages)(std::uint64_t address, std::uint64_t pages);
  EfiStatus(GPUVM_EFIAPI* get_memory_map)(std::uint64_t* size, void* map, std::uint64_t* key,
                                          std::uint64_t* descriptor_size,
                                          std::uint32_t* descriptor_version);
  EfiStatus(GPUVM_EFIAPI* allocate_pool)(MemoryType type, std::uint64_t size, void** buffer);
  EfiStatus(GPUVM_EFIAPI* free_pool)(void* buffer);
  Unsupported create_event;
  Unsupported set_timer;
  Unsupported wait_for_event;
  Unsupported signal_event;
  Unsupported close_event;
  Unsupported check_event;
  EfiStatus(GPUVM_EFIAPI* install_protocol_interface)(Handle* handle, const Guid* protocol,
                                                      std::uint32_t interface_type,
                                                      void* interface);
  Unsupported reinstall_protocol_interface;
  EfiStatus(GPUVM_EFIAPI* uninstall_protocol_interface)(Handle handle, const Guid* protocol,
                                                        void* interface);
  EfiStatus(GPUVM_EFIAPI* handle_protocol)(Handle handle, const Guid* protocol, void** interface);
  void* reserved;
  Unsupported register_protocol_notify;
  EfiStatus(GPUVM_EFIAPI* locate_handle)(std::uint32_t search, const Guid* protocol, void* key,
                                         std::uint64_t* size, Handle* handles);
  EfiStatus(GPUVM_EFIAPI* locate_device_path)(const Guid* protocol, const void** path,
                                              Handle* device);
  EfiStatus(GPUVM_EFIAPI* install_configuration_table)(const Guid* guid, void* table);
  Unsupported load_image;
  Unsupported start_image;
  EfiStatus(GPUVM_EFIAPI* exit)(Handle image, EfiStatus status, std::uint64_t size,
                                const Char16* text);
  Unsupported unload_image;
  EfiStatus(GPUVM_EFIAPI* exit_boot_services)(Handle image, std::uint64_t key);
  EfiStatus(GPUVM_EFIAPI* get_next_monotonic_count)(std::uint64_t* count);
  EfiStatus(GPUVM_EFIAPI* stall)(std::uint64_t microseconds);
  EfiStatus(GPUVM_EFIAPI* set_watchdog_timer)(std::uint64_t seconds, std::uint64_t code,
                                              std::uint64_t size, const Char16* text);
  Unsupported connect_controller;
  Unsupported disconnect_controller;
  EfiStatus(GPUVM_EFIAPI* open_protocol)(Handle handle, const Guid* protocol, void** interface,
                                         Handle agent, Handle controller, std::uint32_t attributes);
  EfiStatus(GPUVM_EFIAPI* close_protocol)(Handle handle, const Guid* protocol, Handle agent,
                                          Handle controller);
  Unsupported open_protocol_information;
  Unsupported protocols_per_handle;
  EfiStatus(GPUVM_EFIAPI* locate_handle_buffer)(std::uint32_t search, const Guid* protocol,
                                                void* key, std::uint64_t* count, Handle** handles);
  EfiStatus(GPUVM_EFIAPI* locate_protocol)(const Guid* protocol, void* registration,
                                           void** interface);
  Unsupported install_multiple_protocol_interfaces;
  Unsupported uninstall_multiple_protocol_interfaces;
  EfiStatus(GPUVM_EFIAPI* calculate_crc32)(const void* data, std::uint64_t size,
                                           std::uint32_t* crc);
  void(GPUVM_EFIAPI* copy_mem)(void* to, const void* from, std::uint64_t size);
  void(GPUVM_EFIAPI* set_mem)(void* to, std::uint64_t size, std::uint8_t value);
  Unsupported create_event_ex;
};
static_assert(sizeof(BootServices) == 24 + 44 * 8);
constexpr std::uint64_t kBootServicesSignature = 0x56524553544f4f42;  // "BOOTSERV"

struct RuntimeServices {
  TableHeader header;
  EfiStatus(GPUVM_EFIAPI* get_time)(Time* time, TimeCapabilities* capabilities);
  Unsupported set_time;
  Unsupported get_wakeup_time;
  Unsupported set_wakeup_time;
  EfiStatus(GPUVM_EFIAPI* set_virtual_address_map)(std::uint64_t map_size,
                                                   std::uint64_t descriptor_size,
                                                   std::uint32_t version, const void* map);
  EfiStatus(GPUVM_EFIAPI* convert_pointer)(std::uint64_t disposition, void** address);
  EfiStatus(GPUVM_EFIAPI* get_variable)(const Char16* name, const Guid* vendor,
                                        std::uint32_t* attributes, std::uint64_t* size, void* data);
  EfiStatus(GPUVM_EFIAPI* get_next_variable_name)(std::uint64_t* size, Char16* name, Guid* vendor);
  EfiStatus(GPUVM_EFIAPI* set_variable)(const Char16* name, const Guid* vendor,
                                        std::uint32_t attributes, std::uint64_t size,
                                        const void* data);
  Unsupported get_next_high_monotonic_count;
  void(GPUVM_EFIAPI* reset_system)(ResetType type, EfiStatus status, std::uint64_t size,
                                   const void* data);
  Unsupported update_capsule;
  Unsupported query_capsule_capabilities;
  EfiStatus(GPUVM_EFIAPI* query_variable_info)(std::uint32_t attributes, std::uint64_t* maximum,
                                               std::uint64_t* remaining, std::uint64_t* largest);
};
static_assert(sizeof(RuntimeServices) == 24 + 14 * 8);
constexpr std::uint64_t kRuntimeServicesSignature = 0x56524553544e5552;  // "RUNTSERV"

/// 4.6.2, EFI_RT_PROPERTIES_TABLE.
struct RtProperties {
  std::uint16_t version = 1;
  std::uint16_t length = 8;
  std::uint32_t supported = 0;
};
// Its bits, in the table's order.
constexpr std::uint32_t kRtGetTime = 0x0001;
constexpr std::uint32_t kRtSetVirtualAddressMap = 0x0080;
constexpr std::uint32_t kRtConvertPointer = 0x0100;
constexpr std::uint32_t kRtGetVariable = 0x0010;
constexpr std::uint32_t kRtGetNextVariableName = 0x0020;
constexpr std::uint32_t kRtSetVariable = 0x0040;
constexpr std::uint32_t kRtResetSystem = 0x0400;
constexpr std::uint32_t kRtQueryVariableInfo = 0x2000;

struct ConfigurationTable {
  Guid guid;
  void* table = nullptr;
};

struct TextOutputMode {
  std::int32_t max_mode = 1;
  std::int32_t mode = 0;
  std::int32_t attribute = 0x07;
  std::int32_t column = 0;
  std::int32_t row = 0;
  std::uint8_t cursor_visible = 1;
};

struct TextOutput {
  EfiStatus(GPUVM_EFIAPI* reset)(TextOutput* self, std::uint8_t extended);
  EfiStatus(GPUVM_EFIAPI* output_string)(TextOutput* self, const Char16* text);
  EfiStatus(GPUVM_EFIAPI* test_string)(TextOutput* self, const Char16* text);
  EfiStatus(GPUVM_EFIAPI* query_mode)(TextOutput* self, std::uint64_t mode, std::uint64_t* columns,
                                      std::uint64_t* rows);
  EfiStatus(GPUVM_EFIAPI* set_mode)(TextOutput* self, std::uint64_t mode);
  Unsupported set_attribute;
  Unsupported clear_screen;
  Unsupported set_cursor_position;
  Unsupported enable_cursor;
  TextOutputMode* mode;
};

struct SystemTable {
  TableHeader header;
  const Char16* vendor = nullptr;
  std::uint32_t revision = 0;
  std::uint32_t padding = 0;
  Handle console_in_handle = nullptr;
  void* console_in = nullptr;
  Handle console_out_handle = nullptr;
  TextOutput* console_out = nullptr;
  Handle error_handle = nullptr;
  TextOutput* error = nullptr;
  RuntimeServices* runtime = nullptr;
  BootServices* boot = nullptr;
  std::uint64_t table_count = 0;
  ConfigurationTable* tables = nullptr;
};
static_assert(sizeof(SystemTable) == 120);
constexpr std::uint64_t kSystemTableSignature = 0x5453595320494249;  // "IBI SYST"

struct LoadedImage {
  std::uint32_t revision = 0x1000;
  std::uint32_t padding = 0;
  Handle parent = nullptr;
  SystemTable* system = nullptr;
  Handle device = nullptr;
  void* file_path = nullptr;
  void* reserved = nullptr;
  std::uint32_t options_size = 0;
  std::uint32_t padding2 = 0;
  void* options = nullptr;  ///< UTF-16, with its NUL
  void* base = nullptr;
  std::uint64_t size = 0;
  std::uint32_t code_type = 0;
  std::uint32_t data_type = 0;
  Unsupported unload = nullptr;
};
static_assert(sizeof(LoadedImage) == 96);

struct LoadFile2 {
  EfiStatus(GPUVM_EFIAPI* load_file)(LoadFile2* self, const void* path, std::uint8_t boot_policy,
                                     std::uint64_t* size, void* buffer);
};

struct RandomProtocol {
  EfiStatus(GPUVM_EFIAPI* get_info)(RandomProtocol* self, std::uint64_t* size, Guid* algorithms);
  EfiStatus(GPUVM_EFIAPI* get_random)(RandomProtocol* self, const Guid* algorithm,
                                      std::uint64_t size, std::uint8_t* value);
};

struct PciIo {
  using Access = EfiStatus(GPUVM_EFIAPI*)(PciIo* self, std::uint32_t width, std::uint32_t offset,
                                          std::uint64_t count, void* buffer);
  Unsupported poll_memory;
  Unsupported poll_io;
  Unsupported memory_read;
  Unsupported memory_write;
  Unsupported io_read;
  Unsupported io_write;
  Access config_read;
  Access config_write;
  Unsupported copy_memory;
  Unsupported map;
  Unsupported unmap;
  Unsupported allocate_buffer;
  Unsupported free_buffer;
  Unsupported flush;
  EfiStatus(GPUVM_EFIAPI* get_location)(PciIo* self, std::uint64_t* segment, std::uint64_t* bus,
                                        std::uint64_t* device, std::uint64_t* function);
  EfiStatus(GPUVM_EFIAPI* attributes)(PciIo* self, std::uint32_t operation,
                                      std::uint64_t attributes, std::uint64_t* result);
  Unsupported get_bar_attributes;
  Unsupported set_bar_attributes;
  std::uint64_t rom_size;
  void* rom_image;
};
static_assert(sizeof(PciIo) == 20 * sizeof(void*));

struct MemoryAttributeProtocol {
  EfiStatus(GPUVM_EFIAPI* get)(MemoryAttributeProtocol* self, std::uint64_t base,
                               std::uint64_t size, std::uint64_t* attributes);
  EfiStatus(GPUVM_EFIAPI* set)(MemoryAttributeProtocol* self, std::uint64_t base,
                               std::uint64_t size, std::uint64_t attributes);
  EfiStatus(GPUVM_EFIAPI* clear)(MemoryAttributeProtocol* self, std::uint64_t base,
                                 std::uint64_t size, std::uint64_t attributes);
};

}  // namespace gpuvm::efi
