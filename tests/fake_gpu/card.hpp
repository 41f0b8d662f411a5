// SPDX-License-Identifier: Apache-2.0
// Card: what GpuServer serves: one PCI function, its regions by the indices of vfio-user, its
// reset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gpuvm::fake_gpu {

inline constexpr std::uint32_t kRomRegion = 6;
inline constexpr std::uint32_t kConfigRegion = 7;

class Card {
 public:
  virtual ~Card() = default;

  /// Bytes; 0: there is no such region.
  virtual std::uint64_t region_size(std::uint32_t index) const = 0;
  /// The file of a region that clients may map; -1: each access is a message.
  virtual int region_file(std::uint32_t index) const = 0;
  virtual std::uint32_t msix_vectors() const = 0;

  /// False: the access leaves the region.
  virtual bool read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual bool write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in) = 0;
  virtual void slot_reset() = 0;
  /// A reset has gone wrong.
  virtual bool has_misbehaved() const = 0;
};

}  // namespace gpuvm::fake_gpu
