// SPDX-License-Identifier: Apache-2.0
// Mc146818: the real-time clock and its RAM, without wires or locks. Source: Motorola MC146818
// data sheet (address map figure 9, registers A to D), with the century at 0x32 as PCs have it
// (ACPI 6.5, FADT CENTURY).
//
// The time is the host's plus an offset that the guest sets; the caller passes the host's time
// (UTC) in. Missing: periodic interrupts (register A's rate and the PF flag), the square wave,
// daylight saving. Alarms set AF and are announced by next_alarm().
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace gpuvm {

/// RAM sizes as firmware such as OVMF reads them from the clock's RAM.
struct CmosMemorySizes {
  std::uint64_t below_4g = 0;  ///< bytes of RAM from 0 to the 32-bit hole
  std::uint64_t above_4g = 0;  ///< bytes of RAM from 4 GiB up
};

/// Not synchronised: the owner holds a lock.
class Mc146818 {
 public:
  /// Since 1970-01-01 00:00 UTC.
  using Time = std::chrono::nanoseconds;

  static constexpr unsigned kSize = 128;
  static constexpr unsigned kCentury = 0x32;
  // Control registers; the names are the data sheet's.
  static constexpr unsigned kRegisterA = 0x0a;
  static constexpr unsigned kRegisterB = 0x0b;
  static constexpr unsigned kRegisterC = 0x0c;
  static constexpr unsigned kRegisterD = 0x0d;

  Mc146818(const CmosMemorySizes& memory, Time host_now);

  /// index: taken modulo 128. Reading register C clears its flags.
  std::uint8_t read(unsigned index, Time host_now);
  void write(unsigned index, std::uint8_t value, Time host_now);

  /// Whether IRQF (register C, bit 7) is set: the level of the IRQ pin.
  bool interrupt(Time host_now);
  /// Host time at which interrupt() next becomes true by itself; nothing when no interrupt is
  /// enabled, one is pending, or the alarm never matches.
  std::optional<Time> next_interrupt(Time host_now) const;

  /// The RESET pin: clears the interrupt enables and flags. The battery keeps the time, the alarm
  /// and the RAM.
  void reset(Time host_now);

  /// Guest time minus host time.
  Time offset() const { return state_.offset; }

 private:
  struct State {
    std::array<std::uint8_t, kSize> ram{};  ///< time bytes are only used while stopped
    Time offset{0};
    std::uint8_t flags = 0;        ///< register C without IRQF
    std::int64_t seen_second = 0;  ///< guest second up to which flags is right
  };

  Time guest_now(Time host_now) const { return host_now + state_.offset; }
  bool stopped() const;
  bool divider_held() const;
  /// The bytes of the time registers at this guest second, in the format register B selects.
  void store_time(std::int64_t second);
  std::int64_t decode_time() const;
  std::uint8_t encode(unsigned value) const;
  std::uint8_t encode_hour(unsigned hour) const;
  unsigned decode(std::uint8_t value) const;
  unsigned decode_hour(std::uint8_t value) const;
  void write_time(unsigned index, std::uint8_t value, Time host_now);
  /// Freezes or restarts the time bytes around a write of register A or B.
  void write_control(unsigned index, std::uint8_t value, Time host_now);
  void update_flags(Time host_now);
  /// The first second after `after` that the alarm registers match.
  std::optional<std::int64_t> next_alarm(std::int64_t after) const;

  State state_;
};

}  // namespace gpuvm
