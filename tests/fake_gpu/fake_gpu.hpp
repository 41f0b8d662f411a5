// SPDX-License-Identifier: Apache-2.0
// FakeGpu: the made-up GPU as a register machine: configuration space, registers, VRAM, ROM, DMA
// engine, interrupts, and the faults that the command line asked for. It has two resets: a function
// level reset, which is a write to Device Control, and the reset of its slot.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tests/fake_gpu/card.hpp"
#include "tests/fake_gpu/fake_gpu_spec.hpp"
#include "tests/fake_gpu/faults.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::fake_gpu {

class FakeGpu : public Card {
 public:
  /// How it reaches memory and raises interrupts.
  struct Wires {
    /// Guest memory, or an empty span where there is none of that length.
    std::function<std::span<std::byte>(std::uint64_t iova, std::uint64_t size)> memory;
    std::function<void(std::uint32_t vector)> raise;
  };
  static Result<FakeGpu> create(const Options& options, Wires wires);

  std::uint64_t region_size(std::uint32_t index) const override;
  int region_file(std::uint32_t index) const override { return index == 2 ? vram_file_.get() : -1; }
  std::uint32_t msix_vectors() const override { return kMsixVectors; }
  bool read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out) override;
  bool write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in) override;
  void slot_reset() override;
  bool has_misbehaved() const override { return resets_ > options_.good_resets; }

 private:
  /// All that a reset puts back.
  struct State {
    std::array<std::byte, kExtendedConfigSize> config{};
    std::uint32_t control = 0;
    std::uint32_t status = 0;
    std::uint32_t scratch = 0;
    std::uint64_t dma_address = 0;
    std::uint32_t dma_size = 0;
    std::uint32_t dma_vram = 0;
    std::uint32_t wpr2 = 0;
  };

  FakeGpu(const Options& options, Wires wires, UniqueFd vram_file, MappedRegion vram);
  State fresh_state() const;
  std::array<std::byte, kExtendedConfigSize> config_masks() const;
  void reset(const Faults& faults, bool keeps_state, bool is_lost);
  void function_reset();
  Faults faults_of_next_reset() const;
  bool is_silent() const;
  /// That much time has not passed since the last reset, which had this fault.
  bool is_within(unsigned Faults::*time) const;
  void show_audio(bool is_shown);
  bool is_link_slow() const;
  void read_config(std::uint64_t offset, std::span<std::byte> out);
  /// What faults make of a part of configuration space that comes and goes with time.
  void show_unsteady_config(std::uint64_t offset, std::span<std::byte> out);
  void write_config(std::uint64_t offset, std::span<const std::byte> in);
  std::uint32_t read_register(std::uint64_t offset) const;
  void write_register(std::uint64_t offset, std::uint32_t value);
  void transfer(std::uint32_t command);
  std::uint16_t command_register() const;

  Options options_;
  Wires wires_;
  UniqueFd vram_file_;
  MappedRegion vram_;
  std::vector<std::byte> rom_;
  std::vector<std::byte> msix_;
  std::array<std::byte, kExtendedConfigSize> masks_;
  bool has_narrow_link_ = false;  ///< part of a fresh state
  bool has_slow_link_ = false;    ///< until a slot reset
  State state_;
  bool is_lost_ = false;  ///< until a slot reset
  bool is_lost_for_ever_ = false;
  unsigned resets_ = 0;
  unsigned chain_reads_ = 0;
  Faults last_faults_;  ///< of the last reset
  std::chrono::steady_clock::time_point reset_at_{};
};

}  // namespace gpuvm::fake_gpu
