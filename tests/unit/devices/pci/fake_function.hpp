// SPDX-License-Identifier: Apache-2.0
// FakeFunction: 4 KiB of plain bytes behind the PciFunction interface, which records its accesses.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "devices/pci/pci_function.hpp"
#include "devices/pci/pci_spec.hpp"

namespace gpuvm {

class FakeFunction : public PciFunction {
 public:
  struct Write {
    std::uint16_t offset;
    std::uint32_t value;
    std::uint32_t mask;
    bool operator==(const Write&) const = default;
  };

  explicit FakeFunction(std::string name = "fake") : name_(std::move(name)) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = pattern(i);
    }
  }
  static std::uint8_t pattern(std::size_t offset) {
    return static_cast<std::uint8_t>(offset * 7 + offset / 256);
  }

  std::string_view name() const override { return name_; }
  std::uint32_t config_read(std::uint16_t offset) override {
    aligned = aligned && offset % 4 == 0 && offset < pci::kConfigSize;
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
      value |= static_cast<std::uint32_t>(bytes[offset + i]) << (8 * i);
    }
    return value;
  }
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override {
    aligned = aligned && offset % 4 == 0 && offset < pci::kConfigSize;
    writes.push_back({offset, value & mask, mask});
    for (unsigned i = 0; i < 4; ++i) {
      if ((mask >> (8 * i) & 0xff) != 0) {
        bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
      }
    }
  }

  std::optional<PcieLink> trained_link() override { return trained; }

  std::optional<PcieLink> trained;
  std::array<std::uint8_t, pci::kConfigSize> bytes{};
  std::vector<Write> writes;
  bool aligned = true;  ///< every access kept PciFunction's contract

 private:
  std::string name_;
};

}  // namespace gpuvm
