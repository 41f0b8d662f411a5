// SPDX-License-Identifier: Apache-2.0
// RtcCmos: the real-time clock of a PC at ports 0x70 (index) and 0x71 (data), ISA interrupt 8, and
// its ACPI device PNP0B00. The registers are in mc146818.hpp, with what is missing.
//
// IRQ 8 carries alarms and update interrupts when the machine lends a timer (Options::arm_timer);
// without it alarms only show in register C, and the ACPI device names no interrupt. Linux then
// still claims IRQ 8 (its rtc-cmos assumes it on a PC with a PIC), gets no alarms, and reads and
// sets the time as usual.
//
// The FADT should have CENTURY = Mc146818::kCentury, the flag FIXED_RTC (bit 6: no RTC wake status
// in the PM1 registers) set and IAPC_BOOT_ARCH bit 5 (no CMOS RTC) clear.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "devices/platform/mc146818.hpp"
#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

inline constexpr IoPort kRtcBase{0x70};
inline constexpr Gsi kRtcGsi{8};

class RtcCmos : public IoHandler, public AcpiSource, public Resettable, public Inspectable {
 public:
  static constexpr std::uint64_t kPortCount = 2;

  struct Options {
    CmosMemorySizes memory;
    /// UTC since 1970. Empty: the host's clock.
    std::function<std::chrono::nanoseconds()> now;
    /// Asks for a call of timer_expired() after this time, in place of any asked for before;
    /// nothing cancels. Called from vCPU threads with a lock held: post it elsewhere. Empty: no
    /// interrupts.
    std::function<void(std::optional<std::chrono::nanoseconds>)> arm_timer;
  };

  /// pins must outlive this.
  RtcCmos(Options options, InterruptPins& pins);

  /// The time asked for through arm_timer has passed. Any thread.
  void timer_expired();

  std::string_view name() const override { return "RTC"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;

  aml::Terms acpi() const override;
  /// Survives, as the battery keeps it: the time the guest set, the alarm, the RAM.
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  void update_interrupt(std::chrono::nanoseconds now) GPUVM_REQUIRES(mutex_);

  const Options options_;
  InterruptPins& pins_;
  mutable Mutex mutex_;
  Mc146818 clock_ GPUVM_GUARDED_BY(mutex_);
  std::uint8_t index_ GPUVM_GUARDED_BY(mutex_) = 0;
  bool line_ GPUVM_GUARDED_BY(mutex_) = false;
  /// Host time that was asked for.
  std::optional<std::chrono::nanoseconds> armed_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
