// SPDX-License-Identifier: Apache-2.0
// Two configuration spaces for tests. No full dump with a free licence was found, so both are
// constructed: the ids, classes, BARs and the order and offsets of the capabilities are those that
// public `lspci -vv` listings of these devices show; register contents follow the specification
// sections named (PCI Express Base 6.0). The GPU's chain is extended by what gpuvm hides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/bytes.hpp"

namespace gpuvm::test {

class ConfigBuilder {
 public:
  explicit ConfigBuilder(std::size_t size = 4096) : bytes_(size) {}
  ConfigBuilder& dword(std::size_t offset, std::uint32_t value) {
    store_le(std::span(bytes_).subspan(offset, 4), value);
    return *this;
  }
  /// Header of an extended capability, 7.6.3.
  ConfigBuilder& extended(std::size_t offset, std::uint32_t id, std::uint32_t next) {
    return dword(offset, id | 1U << 16 | next << 20);
  }
  std::vector<std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// A GeForce GT 710 (GK208B, 10de:128b): BAR0 16 MiB, BAR1 128 MiB 64-bit, BAR3 32 MiB 64-bit, BAR5
/// 128 I/O ports, PM at 60, MSI at 68, Express at 78, no MSI-X, no FLR.
inline std::vector<std::byte> gt710_config() {
  return ConfigBuilder()
      .dword(0x00, 0x128b10de)
      .dword(0x04, 0x00100000)
      .dword(0x08, 0x030000a1)
      .dword(0x0c, 0x00800010)  // multi-function: function 1 is its audio
      .dword(0x10, 0xf6000000)
      .dword(0x14, 0xe800000c)
      .dword(0x1c, 0xf000000c)
      .dword(0x24, 0x0000e001)
      .dword(0x2c, 0x11751462)
      .dword(0x34, 0x60)
      .dword(0x3c, 0x0000010b)
      .dword(0x60, 0x00036801)  // PM, version 3, next 68
      .dword(0x64, 0x00000008)  // D0, No_Soft_Reset
      .dword(0x68, 0x00807805)  // MSI, 64-bit, one vector, next 78
      .dword(0x78, 0x00020010)  // Express v2 endpoint, end of chain
      .dword(0x7c, 0x012c8de1)  // Device Capabilities, no FLR
      .dword(0x80, 0x00002910)
      .extended(0x100, 0x02, 0x128)  // Virtual Channel
      .extended(0x128, 0x04, 0x420)  // Power Budgeting
      .extended(0x420, 0x01, 0x600)  // AER
      .extended(0x600, 0x0b, 0x900)  // vendor specific
      .extended(0x900, 0x19, 0xbb0)  // Secondary PCI Express
      .extended(0xbb0, 0x15, 0xbc0)  // Resizable BAR
      .dword(0xbb4, 0x00000fc0)
      .extended(0xbc0, 0x10, 0xc00)  // SR-IOV
      .dword(0xbc4, 0x12345678)
      .extended(0xc00, 0x0e, 0x000)  // ARI
      .bytes();
}

/// A NEC uPD720200 xHCI controller (1033:0194): BAR0 8 KiB 64-bit with the MSI-X table (8 vectors)
/// at 0x1000 and the pending bits at 0x1080, PM at 50, MSI at 70, MSI-X at 90, Express at a0 (with
/// FLR, which not every revision has).
inline std::vector<std::byte> upd720200_config() {
  return ConfigBuilder()
      .dword(0x00, 0x01941033)
      .dword(0x04, 0x00100000)
      .dword(0x08, 0x0c033003)
      .dword(0x0c, 0x00000010)
      .dword(0x10, 0xf7c00004)
      .dword(0x2c, 0x01941033)
      .dword(0x34, 0x50)
      .dword(0x3c, 0x0000010b)
      .dword(0x50, 0xc9c37001)
      .dword(0x54, 0x00000008)
      .dword(0x70, 0x01869005)  // MSI, 64-bit, 8 vectors, maskable, next 90
      .dword(0x90, 0x0007a011)  // MSI-X, 8 vectors, next a0
      .dword(0x94, 0x00001000)
      .dword(0x98, 0x00001080)
      .dword(0xa0, 0x00020010)
      .dword(0xa4, 0x10008fc0)  // FLR
      .dword(0xa8, 0x00002810)
      .extended(0x100, 0x01, 0x140)
      .extended(0x140, 0x03, 0x150)
      .extended(0x150, 0x18, 0x000)
      .bytes();
}

}  // namespace gpuvm::test
