// SPDX-License-Identifier: Apache-2.0
// LpcBridge: see lpc_bridge.hpp.
#include "devices/pci/lpc_bridge.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kClassIsaBridge = 0x060100;
constexpr std::uint32_t kIoSpaceIndicator = 1u << 0;  // 13.1.13, PMBASE
constexpr std::uint32_t kAcpiEnable = 1u << 7;        // 13.1.14, ACPI_CNTL
constexpr std::uint16_t kPirqAToD = 0x60;             // 13.1.17
constexpr std::uint16_t kPirqEToH = 0x68;             // 13.1.19
constexpr std::uint32_t kPirqReset = 0x80808080;      // routed to no ISA interrupt
constexpr std::uint32_t kPirqBits = 0x8f8f8f8f;
constexpr std::uint16_t kRcba = 0xf0;  // 13.1.38
constexpr std::uint32_t kRcbaBits = 0xffffc001;

}  // namespace

LpcBridge::LpcBridge(IoPort pm_base) {
  space_.define_identity(kVendor, kDevice, kClassIsaBridge);
  // I/O, memory and bus master are hard-wired on (13.1.3).
  space_.define({.offset = pci::kCommand,
                 .size = 2,
                 .reset_value = pci::kCommandIo | pci::kCommandMemory | pci::kCommandBusMaster});
  space_.define({.offset = kPmBaseRegister,
                 .reset_value = static_cast<std::uint32_t>(pm_base.value()) | kIoSpaceIndicator});
  space_.define({.offset = kAcpiControlRegister, .size = 1, .reset_value = kAcpiEnable});
  space_.define({.offset = kPirqAToD, .reset_value = kPirqReset, .writable = kPirqBits});
  space_.define({.offset = kPirqEToH, .reset_value = kPirqReset, .writable = kPirqBits});
  space_.define({.offset = kRcba, .writable = kRcbaBits});
}

std::uint32_t LpcBridge::config_read(std::uint16_t offset) {
  const MutexLock lock(mutex_);
  return space_.read(offset);
}

void LpcBridge::config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  const MutexLock lock(mutex_);
  space_.write(offset, value, mask);
}

void LpcBridge::reset() {
  const MutexLock lock(mutex_);
  space_.reset();
}

}  // namespace gpuvm
