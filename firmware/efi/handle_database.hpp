// SPDX-License-Identifier: Apache-2.0
// HandleDatabase: handles and the protocols installed on them, and the search by device path.
// Specification: UEFI 2.10, sections 7.3 (protocol handler services) and 10.2 (device paths).
// Missing: drivers, notifications, who opened what (an application alone, as Linux's stub is, does
// not need them).
#pragma once

#include "firmware/efi/uefi_types.hpp"

namespace gpuvm::efi {

/// 10.2, EFI_DEVICE_PATH_PROTOCOL: the head of each node.
struct DevicePathNode {
  std::uint8_t type = 0;
  std::uint8_t sub_type = 0;
  std::uint8_t length[2] = {};
};
constexpr std::uint8_t kDevicePathEnd = 0x7f;
constexpr std::uint8_t kDevicePathEndAll = 0xff;
constexpr std::uint8_t kDevicePathMedia = 4;
constexpr std::uint8_t kDevicePathVendor = 3;

/// 10.3.5.3: a vendor's media path of one node, and its end.
struct VendorMediaPath {
  DevicePathNode head = {kDevicePathMedia, kDevicePathVendor, {20, 0}};
  Guid vendor;
  DevicePathNode end = {kDevicePathEnd, kDevicePathEndAll, {4, 0}};
};
static_assert(sizeof(VendorMediaPath) == 24);

/// 7.3.7, LocateHandle().
enum class SearchType : std::uint32_t { kAllHandles = 0, kByRegisterNotify = 1, kByProtocol = 2 };

class HandleDatabase {
 public:
  static constexpr std::size_t kHandles = 128;
  static constexpr std::size_t kInterfaces = 256;

  /// A null handle becomes a new one. Errors: kInvalidParameter (no such handle, already
  /// installed), kOutOfResources.
  EfiStatus install(Handle& handle, const Guid& protocol, void* interface);
  /// A handle without protocols ceases to be. Errors: kInvalidParameter, kNotFound.
  EfiStatus uninstall(Handle handle, const Guid& protocol, void* interface);
  /// Errors: kInvalidParameter (no such handle), kUnsupported (it does not have the protocol).
  EfiStatus find(Handle handle, const Guid& protocol, void*& interface) const;
  /// Any interface of this protocol, or false.
  bool find_any(const Guid& protocol, void*& interface) const;
  /// The handles (with this protocol, unless it is null), in the order of their making. `size` as
  /// of LocateHandle(). Errors: kNotFound, kBufferTooSmall with the size needed.
  EfiStatus list(const Guid* protocol, std::uint64_t& size, Handle* handles) const;
  /// LocateDevicePath(): the handle that has the protocol and the longest device path that `path`
  /// starts with; `path` moves past it. Errors: kInvalidParameter (a malformed path), kNotFound.
  EfiStatus locate(const Guid& protocol, const std::uint8_t*& path, Handle& handle) const;

 private:
  struct Interface {
    std::uint64_t handle = 0;  ///< 0: free
    Guid protocol;
    void* interface = nullptr;
  };
  bool exists(Handle handle) const;
  const Interface* lookup(Handle handle, const Guid& protocol) const;

  Interface interfaces_[kInterfaces] = {};
  std::uint64_t last_handle_ = 0;
};

}  // namespace gpuvm::efi
