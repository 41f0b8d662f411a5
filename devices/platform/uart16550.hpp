// SPDX-License-Identifier: Apache-2.0
// Uart16550: the registers of a 16550A, without wires, locks or host files. Source: National
// Semiconductor PC16550D data sheet, June 1995, section 8.
//
// Characters take no time here: what is written to the transmitter is out at once, so the line
// status always shows it empty, and what lies in the receive FIFO below its trigger level has
// "timed out" at once (8.4, FIFO interrupt mode). Missing: parity, framing and break conditions
// (the line is perfect), word lengths below 8 bits, DMA mode, the baud rate (the divisor latch is
// only storage).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>

#include "devices/platform/uart16550_regs.hpp"

namespace gpuvm {

/// Not synchronised: the owner holds a lock.
class Uart16550 {
 public:
  static constexpr std::size_t kFifoSize = 16;
  /// Bytes from the host that wait behind the FIFO: as if the sender were held back by RTS.
  static constexpr std::size_t kQueueSize = 4096;
  /// After so many interrupts in a row, "no interrupt" is identified once and the line pulses. A
  /// real line's slowness ends a driver's interrupt loop now and then; drivers rely on it (Linux
  /// gives up with a warning after 512 rounds).
  static constexpr unsigned kInterruptStreak = 128;

  /// reg: 0 to 7; anything above reads as 0xff. Reading has the side effects the data sheet gives.
  std::uint8_t read(unsigned reg);
  /// Returns the character to transmit, if the write caused one. reg above 7 is ignored.
  std::optional<std::byte> write(unsigned reg, std::uint8_t value);

  /// Takes characters that arrive on the line; returns how many fitted.
  std::size_t receive(std::span<const std::byte> bytes);
  /// How many bytes receive() would take now.
  std::size_t receive_space() const;
  std::size_t receive_waiting() const { return state_.fifo_count + state_.queue.size(); }

  /// The level that a PC's interrupt line sees: INTR gated by OUT2 (IBM PC AT Technical Reference,
  /// serial adapter). The loop mode forces the OUT2 pin off (8.7).
  bool interrupt_line() const;
  /// True once after each hold-off: the owner drops the line and raises it again, so that an
  /// edge-triggered interrupt controller sees the interrupt that is still pending.
  bool take_retrigger();

  /// Master reset (table III). Nothing survives, waiting input included.
  void reset() { state_ = State{}; }

  std::uint16_t divisor() const { return state_.divisor; }
  std::uint8_t line_control() const { return state_.line_control; }
  std::uint8_t modem_control() const { return state_.modem_control; }
  std::uint8_t interrupt_enable() const { return state_.interrupt_enable; }

 private:
  struct State {
    std::uint8_t interrupt_enable = 0;
    std::uint8_t fifo_control = 0;
    std::uint8_t line_control = 0;
    std::uint8_t modem_control = 0;
    std::uint8_t line_errors = 0;
    /// A terminal is there and ready; nobody rings.
    std::uint8_t modem_status = uart::kMsrCts | uart::kMsrDsr | uart::kMsrDcd;
    std::uint8_t scratch = 0;
    /// Undefined after reset; 115200 baud as a PC's firmware leaves it. Drivers divide by it.
    std::uint16_t divisor = 1;
    bool transmitter_interrupt = false;
    bool retrigger = false;
    unsigned streak = 0;
    std::array<std::uint8_t, kFifoSize> fifo{};
    std::size_t fifo_head = 0;
    std::size_t fifo_count = 0;
    std::deque<std::uint8_t> queue;
  };

  bool fifos_enabled() const { return (state_.fifo_control & uart::kFcrEnable) != 0; }
  bool divisor_latch() const { return (state_.line_control & uart::kLcrDivisorLatch) != 0; }
  bool loopback() const { return (state_.modem_control & uart::kMcrLoop) != 0; }
  std::size_t fifo_capacity() const { return fifos_enabled() ? kFifoSize : 1; }
  std::size_t trigger_level() const;
  std::uint8_t pending_interrupt() const;
  std::uint8_t identify_interrupt();
  std::uint8_t read_data();
  std::uint8_t line_status() const;
  void push_fifo(std::uint8_t value);
  void refill_fifo();
  void loop_back(std::uint8_t value);
  std::optional<std::byte> write_data(std::uint8_t value);
  void write_interrupt_enable(std::uint8_t value);
  void write_fifo_control(std::uint8_t value);
  void write_modem_control(std::uint8_t value);

  State state_;
};

}  // namespace gpuvm
