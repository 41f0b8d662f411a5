// SPDX-License-Identifier: Apache-2.0
// What fuzz targets of virtio devices have in common: a fuzzer's input as the begin of guest memory
// and as what a driver has set up of its queues.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "devices/virtio/split_queue.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fuzz {

/// Ends the process where something does not hold that must.
inline void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

/// Guest memory of 2 MiB, the same for all inputs, that begins with this one's: its first 64 KiB,
/// and zeroes up to there.
inline const GuestMemory& memory_with(std::span<const std::uint8_t> image) {
  constexpr std::size_t kMostImage = 64_KiB;
  static const auto memory =
      std::make_unique<GuestMemory>(GuestMemory::create({.size = 2_MiB}).value());
  std::memset(memory->regions().front().host.data(), 0, kMostImage);
  memory->write(GuestAddress(0),
                std::as_bytes(image.first(std::min<std::size_t>(image.size(), kMostImage))));
  return *memory;
}

/// Of `flags` bit 0 means indirect descriptors, bit 1 an event index; `size`: log2 of the queue's
/// size modulo 4. The descriptor table is at `at`, the available ring 0x80 further, the used ring
/// 0x100.
inline SplitQueueSetup setup_of(std::uint8_t flags, std::uint8_t size, std::uint64_t at = 0) {
  return {.size = static_cast<std::uint16_t>(1U << size % 4),
          .descriptors = GuestAddress(at),
          .available = GuestAddress(at + 0x80),
          .used = GuestAddress(at + 0x100),
          .indirect = (flags & 1) != 0,
          .event_index = (flags & 2) != 0};
}

}  // namespace gpuvm::fuzz
