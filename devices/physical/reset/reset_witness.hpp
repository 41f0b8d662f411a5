// SPDX-License-Identifier: Apache-2.0
// ResetWitness: a register of a device that may be written without harm and that a reset must bring
// back, so that a test sees from the device itself whether the reset reached it; the return of the
// reset call says little. Only for tests of a card (`gpuvm test-reset`), never while a guest has
// it. Missing: GPUs of any vendor (their scratch registers are shared with firmware), and the lab's
// VGA function, which QEMU 7.2 resets with the whole machine only.
#pragma once

#include <optional>
#include <string_view>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/reset/function_state.hpp"

namespace gpuvm {

/// A row: which functions have the register, where it is, and what is written to it.
struct WitnessRow {
  std::uint32_t class_code;  ///< 24 bits
  std::uint16_t vendor;      ///< 0: of any vendor
  std::uint16_t device;
  RegionIndex region;
  std::uint32_t offset;
  /// The offset counts from the operational registers, whose place is byte 0 (CAPLENGTH).
  bool is_behind_capabilities;
  std::uint32_t value;
  std::string_view name;
  std::string_view source;
};

class ResetWitness {
 public:
  /// Nothing where no such register is known. The device must outlive the witness.
  static std::optional<ResetWitness> find(PhysicalDevice& device, const FunctionState& state);

  std::string_view name() const { return row_->name; }
  /// Writes the value; memory decode is on afterwards. False: the register did not take it, so it
  /// says nothing. Errors: kHost.
  Result<bool> mark();
  /// After a reset: the value has gone. Memory decode is on for this read only. Errors: kHost.
  Result<bool> is_cleared();

 private:
  ResetWitness(PhysicalDevice& device, const WitnessRow& row) : device_(&device), row_(&row) {}
  Result<std::uint32_t> read();

  PhysicalDevice* device_;
  const WitnessRow* row_;
  std::uint32_t base_ = 0;
};

}  // namespace gpuvm
