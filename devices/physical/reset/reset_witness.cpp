// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_witness.hpp"

#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::array<WitnessRow, 4> kRows{{
    {0x0c0330, 0, 0, RegionIndex::kBar0, 0x14, true, 0x0000a5a4, "DNCTRL", "xHCI 1.2, 5.4.4"},
    {0x010802, 0, 0, RegionIndex::kBar0, 0x0c, false, 0x00000002, "INTMS",
     "NVM Express 2.0, 3.1.3.4 and 3.7.2"},
    {0x040300, 0, 0, RegionIndex::kBar0, 0x40, false, 0xa5a5a580, "CORBLBASE",
     "High Definition Audio 1.0a, 3.3.18"},
    // The 16-bit registers of index 1 and 2, horizontal and vertical resolution, as one.
    {0x038000, 0x1234, 0x1111, RegionIndex::kBar2, 0x502, false, 0x01f00280, "VBE_DISPI_INDEX_XRES",
     "QEMU docs/specs/standard-vga.txt"},
}};

bool matches(const WitnessRow& row, const FunctionState& state) {
  const bool is_any = row.vendor == 0;
  return row.class_code == state.class_code &&
         (is_any || (row.vendor == state.vendor && row.device == state.device));
}

Result<std::uint16_t> switch_memory_decode_on(PhysicalDevice& device) {
  const auto before = TRY(read_config<std::uint16_t>(device, pci::kCommand));
  TRY(write_config(device, pci::kCommand,
                   static_cast<std::uint16_t>(before | pci::kCommandMemory)));
  return before;
}

}  // namespace

std::optional<ResetWitness> ResetWitness::find(PhysicalDevice& device, const FunctionState& state) {
  const auto* const row =
      std::find_if(kRows.begin(), kRows.end(),
                   [&state](const WitnessRow& candidate) { return matches(candidate, state); });
  if (row == kRows.end()) {
    return std::nullopt;
  }
  return ResetWitness(device, *row);
}

Result<std::uint32_t> ResetWitness::read() {
  std::array<std::byte, 4> bytes{};
  TRY(device_->read(row_->region, base_ + row_->offset, bytes));
  return static_cast<std::uint32_t>(load_le(bytes));
}

Result<bool> ResetWitness::mark() {
  TRY(switch_memory_decode_on(*device_));
  if (row_->is_behind_capabilities) {
    std::array<std::byte, 1> length{};
    TRY(device_->read(row_->region, 0, length));
    base_ = static_cast<std::uint32_t>(load_le(length));
  }
  std::array<std::byte, 4> bytes{};
  store_le(bytes, row_->value);
  TRY(device_->write(row_->region, base_ + row_->offset, bytes));
  return TRY(read()) == row_->value;
}

Result<bool> ResetWitness::is_cleared() {
  const std::uint16_t before = TRY(switch_memory_decode_on(*device_));
  const auto value = read();
  TRY(write_config(*device_, pci::kCommand, before));
  return TRY(value) != row_->value;
}

}  // namespace gpuvm
