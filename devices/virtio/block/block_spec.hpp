// SPDX-License-Identifier: Apache-2.0
// Numbers of virtio block devices. Source: VIRTIO 1.2, 5.2; sections below are its.
// Missing: secure erase, lifetime, geometry, topology, zoned devices.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::virtio_block {

constexpr std::uint64_t kSectorSize = 512;  ///< the protocol's unit, whatever blk_size says, 5.2.4

// Feature bits, 5.2.3.
constexpr std::uint64_t kFeatureSegmentMax = 1 << 2;
constexpr std::uint64_t kFeatureReadOnly = 1 << 5;
constexpr std::uint64_t kFeatureBlockSize = 1 << 6;
constexpr std::uint64_t kFeatureFlush = 1 << 9;
constexpr std::uint64_t kFeatureMultiQueue = 1 << 12;
constexpr std::uint64_t kFeatureDiscard = 1 << 13;
constexpr std::uint64_t kFeatureWriteZeroes = 1 << 14;

// Configuration structure, 5.2.4: offsets.
constexpr std::size_t kCapacity = 0x00;  ///< 64 bits; the others 32 unless said otherwise
constexpr std::size_t kSegmentMax = 0x0c;
constexpr std::size_t kBlockSize = 0x14;
constexpr std::size_t kQueueCount = 0x22;  ///< 16 bits
constexpr std::size_t kMaxDiscardSectors = 0x24;
constexpr std::size_t kMaxDiscardSegments = 0x28;
constexpr std::size_t kDiscardAlignment = 0x2c;
constexpr std::size_t kMaxWriteZeroesSectors = 0x30;
constexpr std::size_t kMaxWriteZeroesSegments = 0x34;
constexpr std::size_t kWriteZeroesMayUnmap = 0x38;  ///< 8 bits
constexpr std::size_t kConfigSize = 0x3c;

// Requests, 5.2.6.
enum class RequestType : std::uint32_t {
  kRead = 0,
  kWrite = 1,
  kFlush = 4,
  kGetId = 8,
  kDiscard = 11,
  kWriteZeroes = 13,
};
struct RequestHeader {
  std::uint32_t type = 0;
  std::uint32_t reserved = 0;
  std::uint64_t sector = 0;
};
constexpr std::size_t kHeaderSize = 16;
static_assert(sizeof(RequestHeader) == kHeaderSize);

/// A segment of discard and write zeroes.
struct RangeSegment {
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
  std::uint32_t flags = 0;
};
constexpr std::size_t kRangeSegmentSize = 16;
static_assert(sizeof(RangeSegment) == kRangeSegmentSize);
constexpr std::uint32_t kRangeUnmap = 1 << 0;

constexpr std::size_t kIdSize = 20;  ///< of the device id string, NUL-padded

enum class RequestStatus : std::uint8_t { kOk = 0, kIoError = 1, kUnsupported = 2 };

}  // namespace gpuvm::virtio_block
