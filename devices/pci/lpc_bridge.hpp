// SPDX-License-Identifier: Apache-2.0
// LpcBridge: function 00:1f.0, class 0601, with the ids of Intel's ICH9 LPC interface (Intel ICH9
// datasheet, 316972, chapter 13), where firmware for Q35 machines looks for the ACPI ports: PMBASE
// and ACPI_CNTL name the ports that the machine has anyway and are read-only; the interrupt routes
// and RCBA keep what is written, and do nothing. Only machines that start such firmware have it.
// Missing: everything else of the chip; what it bridges to (serial port, clock) are devices of
// their own.
#pragma once

#include "devices/pci/config_space.hpp"
#include "devices/pci/pci_function.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

class LpcBridge : public PciFunction, public Resettable {
 public:
  static constexpr std::uint8_t kDevfn = 0x1f << 3;
  static constexpr std::uint16_t kVendor = 0x8086;
  static constexpr std::uint16_t kDevice = 0x2918;
  static constexpr std::uint16_t kPmBaseRegister = 0x40;
  static constexpr std::uint16_t kAcpiControlRegister = 0x44;

  /// pm_base: a multiple of 128, as PMBASE states it.
  explicit LpcBridge(IoPort pm_base);

  std::string_view name() const override { return "lpc-bridge"; }
  std::uint32_t config_read(std::uint16_t offset) override;
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override;
  /// Nothing survives.
  void reset() override;

 private:
  Mutex mutex_;
  ConfigSpace space_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
