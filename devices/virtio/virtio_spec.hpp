// SPDX-License-Identifier: Apache-2.0
// Numbers of virtio that all its devices share: status, feature bits and the split virtqueue.
// Source: Virtual I/O Device (VIRTIO) 1.2, OASIS; sections below are its.
// Missing: packed virtqueues (2.8), everything of the legacy interface.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::virtio {

// Device Status, 2.1.
constexpr std::uint8_t kStatusAcknowledge = 1 << 0;
constexpr std::uint8_t kStatusDriver = 1 << 1;
constexpr std::uint8_t kStatusDriverOk = 1 << 2;
constexpr std::uint8_t kStatusFeaturesOk = 1 << 3;
constexpr std::uint8_t kStatusNeedsReset = 1 << 6;
constexpr std::uint8_t kStatusFailed = 1 << 7;

// Reserved feature bits, 6.
constexpr std::uint64_t kFeatureIndirect = std::uint64_t{1} << 28;
constexpr std::uint64_t kFeatureEventIndex = std::uint64_t{1} << 29;
constexpr std::uint64_t kFeatureVersion1 = std::uint64_t{1} << 32;

// Split virtqueues, 2.7.
constexpr std::uint32_t kMaxQueueSize = 32768;
constexpr std::uint64_t kDescriptorAlignment = 16;
constexpr std::uint64_t kAvailableAlignment = 2;
constexpr std::uint64_t kUsedAlignment = 4;

// The descriptor table, 2.7.5: entries of 16 bytes.
struct Descriptor {
  std::uint64_t address = 0;  ///< guest physical
  std::uint32_t length = 0;
  std::uint16_t flags = 0;
  std::uint16_t next = 0;
};
constexpr std::size_t kDescriptorSize = 16;
static_assert(sizeof(Descriptor) == kDescriptorSize);
constexpr std::uint16_t kDescriptorNext = 1 << 0;
constexpr std::uint16_t kDescriptorWrite = 1 << 1;  ///< the device writes it
constexpr std::uint16_t kDescriptorIndirect = 1 << 2;

// The available ring, 2.7.6: flags, idx, ring[size], used_event.
constexpr std::size_t kRingFlags = 0;  ///< the used ring has both at the same places
constexpr std::size_t kRingIndex = 2;
constexpr std::size_t kRingEntries = 4;
constexpr std::size_t kAvailableEntrySize = 2;
constexpr std::uint16_t kAvailableNoInterrupt = 1;

// The used ring, 2.7.8: flags, idx, ring[size] of id and length, avail_event.
struct UsedElement {
  std::uint32_t id = 0;  ///< index of the chain's first descriptor
  std::uint32_t length = 0;
};
constexpr std::size_t kUsedEntrySize = 8;
static_assert(sizeof(UsedElement) == kUsedEntrySize);
constexpr std::uint16_t kUsedNoNotify = 1;

// Device types, 5.
constexpr std::uint16_t kDeviceBlock = 2;

}  // namespace gpuvm::virtio
