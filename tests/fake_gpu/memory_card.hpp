// SPDX-License-Identifier: Apache-2.0
// MemoryCard: a card with the ids and BARs of one that there is, whose BARs are plain memory that
// the guest maps: enough for the card's driver to begin, and to say where it found which VBIOS. It
// has a function level reset; any reset puts back the initial contents.
// Missing: all registers do; interrupts and DMA; that memory does not answer while decode is off.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tests/fake_gpu/card.hpp"
#include "tests/fake_gpu/fake_gpu_spec.hpp"
#include "tests/fake_gpu/faults.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::fake_gpu {

class MemoryCard : public Card {
 public:
  /// Of `options.card`, which is not null. Errors: kHost (files, memory), kUsage (contents that no
  /// BAR has room for).
  static Result<std::unique_ptr<MemoryCard>> create(const Options& options);

  std::uint64_t region_size(std::uint32_t index) const override;
  int region_file(std::uint32_t index) const override;
  std::uint32_t msix_vectors() const override { return 0; }
  bool read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out) override;
  bool write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in) override;
  void slot_reset() override { reset(); }
  bool has_misbehaved() const override { return false; }

 private:
  static constexpr std::size_t kBars = 6;
  struct Memory {
    UniqueFd file;
    MappedRegion mapping;
  };
  struct Piece {
    std::uint8_t bar;
    std::uint64_t offset;
    std::vector<std::byte> bytes;
  };

  explicit MemoryCard(const Options& options);
  Status add_memory();
  Status add_contents();
  Status add_rom();
  void reset();
  std::span<std::byte> bytes_of(std::uint32_t region);

  const Options options_;
  std::array<Memory, kBars> memory_;
  std::vector<Piece> contents_;  ///< of BARs after a reset; the rest is 0
  std::vector<std::byte> rom_;
  std::array<std::byte, kConfigSize> masks_{};
  std::array<std::byte, kConfigSize> config_{};
};

}  // namespace gpuvm::fake_gpu
