// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/handle_database.hpp"

#include <cstring>

namespace gpuvm::efi {
namespace {

constexpr std::size_t kPathMax = 4096;  // bytes; longer is not a path but a missing end node

std::uint64_t number(Handle handle) {
  return reinterpret_cast<std::uint64_t>(handle);
}

/// Bytes before the end node, or false for a path without one.
bool path_length(const std::uint8_t* path, std::size_t& length) {
  length = 0;
  while (length < kPathMax) {
    const std::uint8_t* node = path + length;
    const std::size_t size = node[2] | std::size_t{node[3]} << 8;
    if (node[0] == kDevicePathEnd) {
      return true;
    }
    if (size < sizeof(DevicePathNode)) {
      return false;
    }
    length += size;
  }
  return false;
}

}  // namespace

bool HandleDatabase::exists(Handle handle) const {
  for (const auto& entry : interfaces_) {
    if (handle != nullptr && entry.handle == number(handle)) {
      return true;
    }
  }
  return false;
}

const HandleDatabase::Interface* HandleDatabase::lookup(Handle handle, const Guid& protocol) const {
  for (const auto& entry : interfaces_) {
    if (handle != nullptr && entry.handle == number(handle) && entry.protocol == protocol) {
      return &entry;
    }
  }
  return nullptr;
}

EfiStatus HandleDatabase::install(Handle& handle, const Guid& protocol, void* interface) {
  if (handle != nullptr && (!exists(handle) || lookup(handle, protocol) != nullptr)) {
    return EfiStatus::kInvalidParameter;
  }
  if (handle == nullptr && last_handle_ == kHandles) {
    return EfiStatus::kOutOfResources;
  }
  for (auto& entry : interfaces_) {
    if (entry.handle == 0) {
      if (handle == nullptr) {
        handle = reinterpret_cast<Handle>(++last_handle_);
      }
      entry = {.handle = number(handle), .protocol = protocol, .interface = interface};
      return EfiStatus::kSuccess;
    }
  }
  return EfiStatus::kOutOfResources;
}

EfiStatus HandleDatabase::uninstall(Handle handle, const Guid& protocol, void* interface) {
  if (!exists(handle)) {
    return EfiStatus::kInvalidParameter;
  }
  for (auto& entry : interfaces_) {
    if (entry.handle == number(handle) && entry.protocol == protocol &&
        entry.interface == interface) {
      entry = {};
      return EfiStatus::kSuccess;
    }
  }
  return EfiStatus::kNotFound;
}

EfiStatus HandleDatabase::find(Handle handle, const Guid& protocol, void*& interface) const {
  if (!exists(handle)) {
    return EfiStatus::kInvalidParameter;
  }
  const auto* entry = lookup(handle, protocol);
  if (entry == nullptr) {
    return EfiStatus::kUnsupported;
  }
  interface = entry->interface;
  return EfiStatus::kSuccess;
}

bool HandleDatabase::find_any(const Guid& protocol, void*& interface) const {
  for (const auto& entry : interfaces_) {
    if (entry.handle != 0 && entry.protocol == protocol) {
      interface = entry.interface;
      return true;
    }
  }
  return false;
}

EfiStatus HandleDatabase::list(const Guid* protocol, std::uint64_t& size, Handle* handles) const {
  std::uint64_t count = 0;
  for (std::uint64_t id = 1; id <= last_handle_; ++id) {
    const auto handle = reinterpret_cast<Handle>(id);
    const bool wanted = protocol != nullptr ? lookup(handle, *protocol) != nullptr : exists(handle);
    if (wanted) {
      if ((count + 1) * sizeof(Handle) <= size) {
        handles[count] = handle;
      }
      ++count;
    }
  }
  if (count == 0) {
    return EfiStatus::kNotFound;
  }
  const bool enough = size >= count * sizeof(Handle);
  size = count * sizeof(Handle);
  return enough ? EfiStatus::kSuccess : EfiStatus::kBufferTooSmall;
}

EfiStatus HandleDatabase::locate(const Guid& protocol, const std::uint8_t*& path,
                                 Handle& handle) const {
  std::size_t wanted = 0;
  if (!path_length(path, wanted)) {
    return EfiStatus::kInvalidParameter;
  }
  bool found = false;
  std::size_t best = 0;
  for (const auto& entry : interfaces_) {
    if (entry.handle == 0 || !(entry.protocol == guids::kDevicePath)) {
      continue;
    }
    const auto candidate = reinterpret_cast<Handle>(entry.handle);
    std::size_t length = 0;
    const auto* own = static_cast<const std::uint8_t*>(entry.interface);
    if (path_length(own, length) && length <= wanted && std::memcmp(own, path, length) == 0 &&
        lookup(candidate, protocol) != nullptr && (!found || length > best)) {
      found = true;
      best = length;
      handle = candidate;
    }
  }
  if (!found) {
    return EfiStatus::kNotFound;
  }
  path += best;
  return EfiStatus::kSuccess;
}

}  // namespace gpuvm::efi
