// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/uart16550.hpp"

#include <algorithm>

namespace gpuvm {

namespace {

using namespace uart;

constexpr std::uint8_t kLineInputs = kMsrCts | kMsrDsr | kMsrDcd;

/// In loop mode the four outputs drive the four inputs (8.7).
std::uint8_t modem_inputs(std::uint8_t modem_control) {
  if ((modem_control & kMcrLoop) == 0) {
    return kLineInputs;
  }
  unsigned inputs = 0;
  inputs |= (modem_control & kMcrRts) != 0 ? kMsrCts : 0u;
  inputs |= (modem_control & kMcrDtr) != 0 ? kMsrDsr : 0u;
  inputs |= (modem_control & kMcrOut1) != 0 ? kMsrRing : 0u;
  inputs |= (modem_control & kMcrOut2) != 0 ? kMsrDcd : 0u;
  return static_cast<std::uint8_t>(inputs);
}

}  // namespace

std::uint8_t Uart16550::read(unsigned reg) {
  switch (reg) {
    case kData:
      return divisor_latch() ? static_cast<std::uint8_t>(state_.divisor) : read_data();
    case kInterruptEnable:
      return divisor_latch() ? static_cast<std::uint8_t>(state_.divisor >> 8)
                             : state_.interrupt_enable;
    case kInterruptId:
      return identify_interrupt();
    case kLineControl:
      return state_.line_control;
    case kModemControl:
      return state_.modem_control;
    case kLineStatus: {
      const std::uint8_t status = line_status();
      state_.line_errors = 0;  // 8.3: the error bits reset when the CPU reads them
      return status;
    }
    case kModemStatus: {
      const std::uint8_t status = state_.modem_status;
      state_.modem_status &= static_cast<std::uint8_t>(~kMsrDeltas);  // 8.8
      return status;
    }
    case kScratch:
      return state_.scratch;
    default:
      return 0xff;
  }
}

std::optional<std::byte> Uart16550::write(unsigned reg, std::uint8_t value) {
  switch (reg) {
    case kData:
      if (!divisor_latch()) {
        return write_data(value);
      }
      state_.divisor = static_cast<std::uint16_t>((state_.divisor & 0xff00) | value);
      break;
    case kInterruptEnable:
      if (divisor_latch()) {
        state_.divisor = static_cast<std::uint16_t>((state_.divisor & 0x00ff) | value << 8);
      } else {
        write_interrupt_enable(value);
      }
      break;
    case kFifoControl:
      write_fifo_control(value);
      break;
    case kLineControl:
      state_.line_control = value;
      break;
    case kModemControl:
      write_modem_control(value);
      break;
    case kScratch:
      state_.scratch = value;
      break;
    default:  // the status registers are read-only
      break;
  }
  return std::nullopt;
}

std::size_t Uart16550::receive(std::span<const std::byte> bytes) {
  const std::size_t count = std::min(bytes.size(), receive_space());
  for (const std::byte byte : bytes.first(count)) {
    state_.queue.push_back(std::to_integer<std::uint8_t>(byte));
  }
  refill_fifo();
  return count;
}

std::size_t Uart16550::receive_space() const {
  return kQueueSize - std::min(kQueueSize, state_.queue.size());
}

bool Uart16550::interrupt_line() const {
  return (state_.modem_control & kMcrOut2) != 0 && !loopback() && pending_interrupt() != kIirNone;
}

bool Uart16550::take_retrigger() {
  const bool retrigger = state_.retrigger;
  state_.retrigger = false;
  return retrigger;
}

std::size_t Uart16550::trigger_level() const {
  static constexpr std::array<std::size_t, 4> kLevels{1, 4, 8, 14};  // 8.4
  return fifos_enabled() ? kLevels[state_.fifo_control >> kFcrTriggerShift] : 1;
}

// 8.5, table IV: the highest priority of what is enabled and pending.
std::uint8_t Uart16550::pending_interrupt() const {
  const std::uint8_t enabled = state_.interrupt_enable;
  if ((enabled & kIerLineStatus) != 0 && state_.line_errors != 0) {
    return kIirLineStatus;
  }
  if ((enabled & kIerReceived) != 0 && state_.fifo_count != 0) {
    return state_.fifo_count >= trigger_level() ? kIirReceived : kIirTimeout;
  }
  if ((enabled & kIerTransmitterEmpty) != 0 && state_.transmitter_interrupt) {
    return kIirTransmitterEmpty;
  }
  if ((enabled & kIerModemStatus) != 0 && (state_.modem_status & kMsrDeltas) != 0) {
    return kIirModemStatus;
  }
  return kIirNone;
}

std::uint8_t Uart16550::identify_interrupt() {
  std::uint8_t identity = pending_interrupt();
  if (identity == kIirNone) {
    state_.streak = 0;
  } else if (++state_.streak > kInterruptStreak) {
    state_.streak = 0;
    state_.retrigger = true;
    identity = kIirNone;
  } else if (identity == kIirTransmitterEmpty) {
    state_.transmitter_interrupt = false;  // 8.5, table IV: reading IIR resets this source
  }
  const unsigned fifos = fifos_enabled() ? kIirFifosEnabled : 0u;
  return static_cast<std::uint8_t>(identity | fifos);
}

std::uint8_t Uart16550::read_data() {
  if (state_.fifo_count == 0) {
    return 0;
  }
  const std::uint8_t value = state_.fifo[state_.fifo_head];
  state_.fifo_head = (state_.fifo_head + 1) % kFifoSize;
  --state_.fifo_count;
  refill_fifo();  // one interrupt then serves all that waits: drivers read while data is ready
  return value;
}

std::uint8_t Uart16550::line_status() const {
  const unsigned ready = state_.fifo_count != 0 ? kLsrDataReady : 0u;
  return static_cast<std::uint8_t>(kLsrHoldingEmpty | kLsrTransmitterEmpty | ready |
                                   state_.line_errors);
}

/// There is room.
void Uart16550::push_fifo(std::uint8_t value) {
  state_.fifo[(state_.fifo_head + state_.fifo_count) % kFifoSize] = value;
  ++state_.fifo_count;
}

void Uart16550::refill_fifo() {
  // 8.7: in loop mode the serial input is disconnected; the sender waits.
  while (!loopback() && !state_.queue.empty() && state_.fifo_count < fifo_capacity()) {
    push_fifo(state_.queue.front());
    state_.queue.pop_front();
  }
}

void Uart16550::loop_back(std::uint8_t value) {
  if (state_.fifo_count < fifo_capacity()) {
    push_fifo(value);
    return;
  }
  state_.line_errors |= kLsrOverrun;
  if (!fifos_enabled()) {
    state_.fifo[state_.fifo_head] = value;  // 8.3, bit 1: the previous character is destroyed
  }  // in FIFO mode the character in the shift register is lost instead
}

std::optional<std::byte> Uart16550::write_data(std::uint8_t value) {
  state_.transmitter_interrupt = true;  // empty again at once
  if (loopback()) {
    loop_back(value);
    return std::nullopt;
  }
  return std::byte{value};
}

void Uart16550::write_interrupt_enable(std::uint8_t value) {
  const std::uint8_t enabled = value & 0x0f;  // 8.6: bits 4 to 7 are always 0
  // Enabling this interrupt while the transmitter is empty raises it; drivers start output so, and
  // Linux tests for it (its THRE bug test).
  if ((enabled & ~state_.interrupt_enable & kIerTransmitterEmpty) != 0) {
    state_.transmitter_interrupt = true;
  }
  state_.interrupt_enable = enabled;
}

void Uart16550::write_fifo_control(std::uint8_t value) {
  const bool toggled = ((value ^ state_.fifo_control) & kFcrEnable) != 0;
  const bool enable = (value & kFcrEnable) != 0;
  // 8.4: bit 0 must be 1 for the other bits to be programmed; changing it clears both FIFOs.
  if (toggled || (enable && (value & kFcrClearReceive) != 0)) {
    state_.fifo_count = 0;
    state_.fifo_head = 0;
  }
  state_.fifo_control = enable ? static_cast<std::uint8_t>(value & 0xc1) : std::uint8_t{0};
  refill_fifo();
}

void Uart16550::write_modem_control(std::uint8_t value) {
  state_.modem_control = value & kMcrMask;
  const std::uint8_t before = state_.modem_status & static_cast<std::uint8_t>(~kMsrDeltas);
  const std::uint8_t after = modem_inputs(state_.modem_control);
  const unsigned changed = before ^ after;
  unsigned deltas = state_.modem_status & kMsrDeltas;
  deltas |= (changed & kMsrCts) != 0 ? kMsrDeltaCts : 0u;
  deltas |= (changed & kMsrDsr) != 0 ? kMsrDeltaDsr : 0u;
  deltas |= (changed & kMsrDcd) != 0 ? kMsrDeltaDcd : 0u;
  deltas |= (changed & before & kMsrRing) != 0 ? kMsrTrailingRing : 0u;  // 8.8: only its end counts
  state_.modem_status = static_cast<std::uint8_t>(after | deltas);
  refill_fifo();
}

}  // namespace gpuvm
