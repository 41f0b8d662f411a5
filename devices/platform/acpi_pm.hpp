// SPDX-License-Identifier: Apache-2.0
// AcpiPm: ACPI fixed hardware (ACPI 6.5, section 4.8): the PM1a event and control blocks, the power
// management timer, the power button, and the \_S5 package that goes with them.
//
// There is no SMI command, so SCI_EN is always set (the FADT has SMI_CMD = 0, which means the same:
// 4.8.2.5). Missing: GPE blocks, PM1b, the sleep button, sleep states but S5; TMR_STS raises an SCI
// only at the next access after the timer's top bit changed (no OS in use enables TMR_EN).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>

#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

/// For the FADT: PM1a_EVT_BLK (PM1_EVT_LEN 4), PM1a_CNT_BLK (PM1_CNT_LEN 2), PM_TMR_BLK (PM_TMR_LEN
/// 4, flag TMR_VAL_EXT), SCI_INT; the flag PWR_BUTTON clear (the button is fixed hardware). The
/// MADT overrides ISA interrupt 9 to this GSI, level triggered, active high.
inline constexpr IoPort kAcpiPmBase{0x600};
inline constexpr std::uint64_t kPm1EventOffset = 0;
inline constexpr std::uint64_t kPm1EventLength = 4;
inline constexpr std::uint64_t kPm1ControlOffset = 4;
inline constexpr std::uint64_t kPm1ControlLength = 2;
inline constexpr std::uint64_t kPmTimerOffset = 8;
inline constexpr std::uint64_t kPmTimerLength = 4;
inline constexpr Gsi kSciGsi{9};

/// SLP_TYP of \_S5 (soft off), unless Options says otherwise.
inline constexpr std::uint8_t kS5SleepType = 5;
/// What OVMF powers off with: QEMU's chipsets have it so (edk2, OvmfPkg ResetSystemLib).
inline constexpr std::uint8_t kOvmfS5SleepType = 0;

// PM1 status and enable bits (4.8.4.1).
inline constexpr std::uint16_t kPm1Timer = 1u << 0;
inline constexpr std::uint16_t kPm1Global = 1u << 5;
inline constexpr std::uint16_t kPm1PowerButton = 1u << 8;
inline constexpr std::uint16_t kPm1Rtc = 1u << 10;
inline constexpr std::uint16_t kPm1Wake = 1u << 15;
// PM1 control bits (4.8.4.2).
inline constexpr std::uint16_t kPm1SciEnable = 1u << 0;
inline constexpr unsigned kPm1SleepTypeShift = 10;
inline constexpr std::uint16_t kPm1SleepEnable = 1u << 13;

class AcpiPm : public IoHandler, public AcpiSource, public Resettable, public Inspectable {
 public:
  static constexpr std::uint64_t kPortCount = 12;
  static constexpr std::uint64_t kTimerHertz = 3'579'545;  // 4.8.3.3

  /// Monotonic time; empty: the host's steady clock.
  using Clock = std::function<std::chrono::nanoseconds()>;

  /// pins must outlive this. Uses requests.power_off. s5_type: 0 to 7.
  AcpiPm(MachineRequests requests, InterruptPins& pins, Clock clock = {},
         std::uint8_t s5_type = kS5SleepType);

  /// The user presses the power button: the guest's OS shuts down if it listens. Any thread.
  void press_power_button();

  std::string_view name() const override { return "ACPI PM"; }
  /// Any width at any offset; what lies between the registers reads 0.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;

  aml::Terms acpi() const override;
  /// Survives: the timer's count, which runs freely, and the counter of button presses.
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  struct State {
    std::uint16_t status = 0;
    std::uint16_t enable = 0;
    std::uint16_t control = 0;            ///< without SCI_EN and the write-only bits
    std::uint64_t seen_timer_halves = 0;  ///< how often the timer's top bit had changed
  };

  std::uint64_t timer_ticks() const;
  void update_timer_status() GPUVM_REQUIRES(mutex_);
  void update_sci() GPUVM_REQUIRES(mutex_);
  void write_register(std::uint64_t offset, std::uint16_t value, std::uint16_t mask)
      GPUVM_REQUIRES(mutex_);
  /// True if the write asks for soft off.
  bool write_control(std::uint16_t value, std::uint16_t mask) GPUVM_REQUIRES(mutex_);
  std::array<std::byte, kPortCount> image() const GPUVM_REQUIRES(mutex_);

  const MachineRequests requests_;
  InterruptPins& pins_;
  const Clock clock_;
  const std::uint8_t s5_type_;
  const std::chrono::nanoseconds start_;
  log::RateLimit limit_;
  mutable Mutex mutex_;
  State state_ GPUVM_GUARDED_BY(mutex_);
  bool sci_ GPUVM_GUARDED_BY(mutex_) = false;
  std::uint64_t button_presses_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm
