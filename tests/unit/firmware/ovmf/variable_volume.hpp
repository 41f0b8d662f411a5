// SPDX-License-Identifier: Apache-2.0
// A variable volume as edk2 keeps it in flash, from both sides: one that writes it as the
// firmware's variable and fault-tolerant-write drivers do (edk2, MdeModulePkg: VariableFormat.h,
// FaultTolerantWriteDxe; states and their order), and one that reads a volume after a power failure
// as they do at the next start: recovery of an interrupted reclaim, then a walk through the store.
// Simplified: one record in the working block; plain variables without time stamps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gpuvm::testing_ovmf {

constexpr std::uint64_t kStoreSize = 0x4000;  ///< less than OVMF's, so that reclaims come soon
constexpr std::uint64_t kWorkOffset = kStoreSize;
constexpr std::uint64_t kSpareOffset = kStoreSize + 0x1000;
constexpr std::uint64_t kVolumeSize = kSpareOffset + kStoreSize;

/// Headers of a volume of `size` bytes and an empty store; everything else erased.
std::vector<std::byte> empty_volume(std::uint64_t size = kVolumeSize);

using Variables = std::map<std::string, std::string>;

/// The variables after recovery; nothing when the firmware would reject the store.
std::optional<Variables> recover(std::vector<std::byte> volume);

/// What the firmware's drivers ask of the flash.
struct FlashAccess {
  std::function<void(std::uint64_t offset, std::span<const std::byte> bytes)> program;
  std::function<void(std::uint64_t offset, std::uint64_t size)> erase;
};

class VariableDriver {
 public:
  /// volume: the flash's contents as reads show them.
  VariableDriver(std::span<const std::byte> volume, FlashAccess flash)
      : volume_(volume), flash_(std::move(flash)) {}
  void set(const std::string& name, const std::string& value);
  int reclaims() const { return reclaims_; }

 private:
  std::optional<std::uint64_t> find(const std::string& name) const;
  std::uint64_t end_of_store() const;
  void reclaim();
  void clear_bits(std::uint64_t offset, std::uint8_t mask);

  std::span<const std::byte> volume_;
  FlashAccess flash_;
  int reclaims_ = 0;
};

}  // namespace gpuvm::testing_ovmf
