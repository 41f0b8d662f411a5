// SPDX-License-Identifier: Apache-2.0
// Numbers of the PCI transport of virtio. Source: VIRTIO 1.2, 4.1; sections below are its.
// Missing: shared memory and vendor data capabilities (4.1.4.7, 4.1.4.8), queue reset and
// notification data, whose features no device of gpuvm offers.
#pragma once

#include <cstdint>

namespace gpuvm::virtio {

// PCI device discovery, 4.1.2.
constexpr std::uint16_t kPciVendor = 0x1af4;
constexpr std::uint16_t kPciDeviceBase = 0x1040;  ///< plus the virtio device type
constexpr std::uint8_t kPciRevision = 1;          ///< or higher: not for legacy drivers
constexpr std::uint16_t kPciSubsystem = 0x1100;   ///< 0x40 or higher

// Virtio structure capabilities, 4.1.4. Offsets are relative to the capability.
constexpr std::uint16_t kCapLength = 2;
constexpr std::uint16_t kCapType = 3;
constexpr std::uint16_t kCapBar = 4;
constexpr std::uint16_t kCapOffset = 8;
constexpr std::uint16_t kCapStructureLength = 12;
constexpr std::uint16_t kCapSize = 16;
constexpr std::uint16_t kCapNotifyMultiplier = 16;  ///< 4.1.4.4
constexpr std::uint16_t kCapConfigData = 16;        ///< 4.1.4.9
constexpr std::uint16_t kCapExtendedSize = 20;

enum class StructureType : std::uint8_t {
  kCommon = 1,
  kNotify = 2,
  kIsr = 3,
  kDevice = 4,
  kPciConfigAccess = 5,
};

// Common configuration structure, 4.1.4.3.
constexpr std::uint16_t kDeviceFeatureSelect = 0x00;
constexpr std::uint16_t kDeviceFeature = 0x04;
constexpr std::uint16_t kDriverFeatureSelect = 0x08;
constexpr std::uint16_t kDriverFeature = 0x0c;
constexpr std::uint16_t kConfigVector = 0x10;
constexpr std::uint16_t kQueueCount = 0x12;
constexpr std::uint16_t kDeviceStatus = 0x14;
constexpr std::uint16_t kConfigGeneration = 0x15;
constexpr std::uint16_t kQueueSelect = 0x16;
constexpr std::uint16_t kQueueSize = 0x18;
constexpr std::uint16_t kQueueVector = 0x1a;
constexpr std::uint16_t kQueueEnable = 0x1c;
constexpr std::uint16_t kQueueNotifyOffset = 0x1e;
constexpr std::uint16_t kQueueDescriptors = 0x20;  ///< 64 bits, as the next two
constexpr std::uint16_t kQueueDriver = 0x28;       ///< the available ring
constexpr std::uint16_t kQueueDevice = 0x30;       ///< the used ring
constexpr std::uint16_t kCommonSize = 0x38;

// ISR status, 4.1.4.5.
constexpr std::uint8_t kIsrQueue = 1 << 0;
constexpr std::uint8_t kIsrConfig = 1 << 1;

// MSI-X vector configuration, 4.1.5.1.2.
constexpr std::uint16_t kNoVector = 0xffff;

}  // namespace gpuvm::virtio
