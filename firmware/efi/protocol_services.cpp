// SPDX-License-Identifier: Apache-2.0
// Boot services for protocols and handles (UEFI 2.10, section 7.3) and for configuration tables
// (7.5.6).
#include "firmware/efi/boot_services.hpp"
#include "firmware/efi/firmware.hpp"
#include "firmware/efi/runtime.hpp"

namespace gpuvm::efi {
namespace {

EfiStatus GPUVM_EFIAPI install_protocol_interface(Handle* handle, const Guid* protocol,
                                                  std::uint32_t interface_type, void* interface) {
  constexpr std::uint32_t kNativeInterface = 0;
  if (handle == nullptr || protocol == nullptr || interface_type != kNativeInterface) {
    return EfiStatus::kInvalidParameter;
  }
  return firmware().handles.install(*handle, *protocol, interface);
}

EfiStatus GPUVM_EFIAPI uninstall_protocol_interface(Handle handle, const Guid* protocol,
                                                    void* interface) {
  return protocol == nullptr ? EfiStatus::kInvalidParameter
                             : firmware().handles.uninstall(handle, *protocol, interface);
}

EfiStatus GPUVM_EFIAPI handle_protocol(Handle handle, const Guid* protocol, void** interface) {
  if (protocol == nullptr || interface == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  *interface = nullptr;
  return firmware().handles.find(handle, *protocol, *interface);
}

/// 7.3.9; who opens is not recorded.
EfiStatus GPUVM_EFIAPI open_protocol(Handle handle, const Guid* protocol, void** interface, Handle,
                                     Handle, std::uint32_t attributes) {
  constexpr std::uint32_t kTestProtocol = 4;
  void* found = nullptr;
  if (protocol == nullptr || (interface == nullptr && attributes != kTestProtocol)) {
    return EfiStatus::kInvalidParameter;
  }
  const EfiStatus status = firmware().handles.find(handle, *protocol, found);
  if (attributes != kTestProtocol) {
    *interface = found;
  }
  return status;
}

EfiStatus GPUVM_EFIAPI close_protocol(Handle handle, const Guid* protocol, Handle, Handle) {
  void* found = nullptr;
  if (protocol == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  const EfiStatus status = firmware().handles.find(handle, *protocol, found);
  return status == EfiStatus::kUnsupported ? EfiStatus::kNotFound : status;
}

/// What LocateHandle() searches by: null for all handles. False for what does not exist here.
bool search_key(std::uint32_t search, const Guid* protocol, const Guid*& key) {
  key = search == static_cast<std::uint32_t>(SearchType::kByProtocol) ? protocol : nullptr;
  return search == static_cast<std::uint32_t>(SearchType::kAllHandles) || key != nullptr;
}

EfiStatus GPUVM_EFIAPI locate_handle(std::uint32_t search, const Guid* protocol, void*,
                                     std::uint64_t* size, Handle* handles) {
  const Guid* key = nullptr;
  if (size == nullptr || (handles == nullptr && *size != 0) || !search_key(search, protocol, key)) {
    return EfiStatus::kInvalidParameter;
  }
  return firmware().handles.list(key, *size, handles);
}

EfiStatus GPUVM_EFIAPI locate_handle_buffer(std::uint32_t search, const Guid* protocol, void*,
                                            std::uint64_t* count, Handle** handles) {
  const Guid* key = nullptr;
  if (count == nullptr || handles == nullptr || !search_key(search, protocol, key)) {
    return EfiStatus::kInvalidParameter;
  }
  *count = 0;
  *handles = nullptr;
  std::uint64_t size = 0;
  if (firmware().handles.list(key, size, nullptr) == EfiStatus::kNotFound) {
    return EfiStatus::kNotFound;
  }
  void* buffer = nullptr;
  if (firmware().pools.allocate(MemoryType::kBootServicesData, size, buffer) !=
      EfiStatus::kSuccess) {
    return EfiStatus::kOutOfResources;
  }
  *handles = static_cast<Handle*>(buffer);
  *count = size / sizeof(Handle);
  return firmware().handles.list(key, size, *handles);
}

EfiStatus GPUVM_EFIAPI locate_protocol(const Guid* protocol, void*, void** interface) {
  if (protocol == nullptr || interface == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  *interface = nullptr;
  return firmware().handles.find_any(*protocol, *interface) ? EfiStatus::kSuccess
                                                            : EfiStatus::kNotFound;
}

EfiStatus GPUVM_EFIAPI locate_device_path(const Guid* protocol, const void** path, Handle* device) {
  if (protocol == nullptr || path == nullptr || *path == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  const auto* rest = static_cast<const std::uint8_t*>(*path);
  Handle found = nullptr;
  const EfiStatus status = firmware().handles.locate(*protocol, rest, found);
  if (status != EfiStatus::kSuccess) {
    return status;
  }
  if (device == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  *path = rest;
  *device = found;
  return status;
}

EfiStatus GPUVM_EFIAPI install_configuration_table(const Guid* guid, void* table) {
  return guid == nullptr ? EfiStatus::kInvalidParameter : install_table(*guid, table);
}

}  // namespace

void fill_protocol_services(BootServices& services) {
  services.install_protocol_interface = install_protocol_interface;
  services.uninstall_protocol_interface = uninstall_protocol_interface;
  services.handle_protocol = handle_protocol;
  services.open_protocol = open_protocol;
  services.close_protocol = close_protocol;
  services.locate_handle = locate_handle;
  services.locate_handle_buffer = locate_handle_buffer;
  services.locate_protocol = locate_protocol;
  services.locate_device_path = locate_device_path;
  services.install_configuration_table = install_configuration_table;
}

}  // namespace gpuvm::efi
