// SPDX-License-Identifier: Apache-2.0
// Sections are those of the PC16550D data sheet (June 1995).
#include "devices/platform/uart16550.hpp"

#include <gtest/gtest.h>

#include "fakes.hpp"

namespace gpuvm::uart16550_test {
namespace {

using namespace uart;

/// As a driver leaves it: FIFOs on with this trigger, interrupts gated through.
Uart16550 started(unsigned interrupt_enable, unsigned trigger = 0) {
  Uart16550 uart;
  uart.write(kFifoControl, static_cast<std::uint8_t>(kFcrEnable | trigger << kFcrTriggerShift));
  uart.write(kModemControl, kMcrOut2 | kMcrDtr | kMcrRts);
  uart.write(kInterruptEnable, static_cast<std::uint8_t>(interrupt_enable));
  return uart;
}

// Table III, master reset.
TEST(Uart16550, ResetValues) {
  Uart16550 uart;
  EXPECT_EQ(uart.read(kInterruptEnable), 0);
  EXPECT_EQ(uart.read(kInterruptId), 0x01);
  EXPECT_EQ(uart.read(kLineControl), 0);
  EXPECT_EQ(uart.read(kModemControl), 0);
  EXPECT_EQ(uart.read(kLineStatus), 0x60);
  EXPECT_EQ(uart.read(kModemStatus) & 0x0f, 0);
  EXPECT_FALSE(uart.interrupt_line());
}

TEST(Uart16550, ResetForgetsEverything) {
  Uart16550 uart = started(0x0f);
  uart.receive(to_bytes(std::string(100, 'x')));
  uart.write(kScratch, 0x5a);
  uart.write(kLineControl, 0x83);
  uart.reset();
  EXPECT_EQ(uart.receive_waiting(), 0u);
  EXPECT_EQ(uart.read(kScratch), 0);
  EXPECT_EQ(uart.read(kLineControl), 0);
  EXPECT_FALSE(uart.interrupt_line());
}

// 8.1, bit 7: DLAB puts the divisor latch at addresses 0 and 1.
TEST(Uart16550, DivisorLatch) {
  Uart16550 uart;
  EXPECT_NE(uart.divisor(), 0) << "Linux divides by what it finds";
  uart.write(kInterruptEnable, 0x05);
  uart.write(kLineControl, kLcrDivisorLatch | 3);
  EXPECT_FALSE(uart.write(0, 0x34).has_value()) << "nothing is transmitted";
  uart.write(1, 0x12);
  EXPECT_EQ(uart.read(0), 0x34);
  EXPECT_EQ(uart.read(1), 0x12);
  EXPECT_EQ(uart.divisor(), 0x1234);
  uart.write(kLineControl, 3);
  EXPECT_EQ(uart.read(kInterruptEnable), 0x05);
}

// 8.9
TEST(Uart16550, ScratchKeepsEveryValue) {
  Uart16550 uart;
  for (unsigned value = 0; value < 256; ++value) {
    uart.write(kScratch, static_cast<std::uint8_t>(value));
    EXPECT_EQ(uart.read(kScratch), value);
  }
}

// 8.6: bits 4 to 7 are always 0; 8.7: so are bits 5 to 7.
TEST(Uart16550, ReservedBitsReadZero) {
  Uart16550 uart;
  uart.write(kInterruptEnable, 0xff);
  EXPECT_EQ(uart.read(kInterruptEnable), 0x0f);
  uart.write(kModemControl, 0xff);
  EXPECT_EQ(uart.read(kModemControl), 0x1f);
}

// What Linux's 8250 driver looks at to name the part (drivers/tty/serial/8250/8250_port.c).
TEST(Uart16550, LinuxFindsA16550A) {
  Uart16550 uart;
  uart.write(kInterruptEnable, 0);
  EXPECT_EQ(uart.read(kInterruptEnable) & 0x0f, 0);
  uart.write(kInterruptEnable, 0x0f);
  EXPECT_EQ(uart.read(kInterruptEnable) & 0x0f, 0x0f);
  uart.write(kInterruptEnable, 0);
  uart.write(kModemControl, kMcrLoop | kMcrOut2 | kMcrRts);
  EXPECT_EQ(uart.read(kModemStatus) & 0xf0, kMsrDcd | kMsrCts);
  uart.write(kModemControl, 0);
  uart.write(kLineControl, 0xbf);
  uart.write(2, 0);
  uart.write(kLineControl, 0);
  uart.write(kFifoControl, kFcrEnable);
  EXPECT_EQ(uart.read(kInterruptId) >> 6, 3) << "16550A";
  for (const std::uint8_t mode : {std::uint8_t{0x80}, std::uint8_t{0xbf}}) {
    uart.write(kLineControl, mode);
    EXPECT_NE(uart.read(2), 0) << "no extended feature register (16650)";
  }
  uart.write(kLineControl, 0x80);
  uart.write(kFifoControl, kFcrEnable | 0x20);
  EXPECT_EQ(uart.read(kInterruptId) & 0x20, 0) << "no 64-byte FIFO (16750)";
  uart.write(kLineControl, 0);
  uart.write(kFifoControl, kFcrEnable);
  uart.write(kInterruptEnable, 0x40);
  EXPECT_EQ(uart.read(kInterruptEnable) & 0x40, 0) << "not an XScale";
}

// 8.7: the loop mode connects outputs to inputs and the transmitter to the receiver.
TEST(Uart16550, LoopbackConnectsModemLines) {
  Uart16550 uart;
  const struct {
    std::uint8_t output, input;
  } wires[] = {{kMcrRts, kMsrCts}, {kMcrDtr, kMsrDsr}, {kMcrOut1, kMsrRing}, {kMcrOut2, kMsrDcd}};
  for (const auto& wire : wires) {
    uart.write(kModemControl, static_cast<std::uint8_t>(kMcrLoop | wire.output));
    EXPECT_EQ(uart.read(kModemStatus) & 0xf0, wire.input);
  }
}

TEST(Uart16550, LoopbackReturnsCharactersAndHoldsTheLineBack) {
  Uart16550 uart = started(kIerReceived);
  uart.write(kModemControl, kMcrLoop | kMcrOut2);
  EXPECT_EQ(uart.receive(to_bytes("later")), 5u);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrDataReady, 0);
  EXPECT_FALSE(uart.write(kData, 0x41).has_value()) << "nothing leaves";
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirReceived) << "interrupts work in loop mode";
  EXPECT_FALSE(uart.interrupt_line()) << "but OUT2 is forced off";
  EXPECT_EQ(uart.read(kData), 0x41);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrDataReady, 0);
  uart.write(kModemControl, kMcrOut2);
  EXPECT_EQ(uart.read(kData), 'l');
}

// 8.3, bit 1: overrun. In FIFO mode the new character is lost, else the old one.
TEST(Uart16550, LoopbackOverrun) {
  Uart16550 uart = started(kIerLineStatus);
  uart.write(kModemControl, kMcrLoop);
  for (unsigned i = 0; i < 17; ++i) {
    uart.write(kData, static_cast<std::uint8_t>(i));
  }
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirLineStatus);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrOverrun, kLsrOverrun);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrOverrun, 0) << "reading clears it";
  for (unsigned i = 0; i < 16; ++i) {
    EXPECT_EQ(uart.read(kData), i);
  }
  uart.write(kFifoControl, 0);
  uart.write(kData, 1);
  uart.write(kData, 2);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrOverrun, kLsrOverrun);
  EXPECT_EQ(uart.read(kData), 2);
}

TEST(Uart16550, TransmitsAtOnce) {
  Uart16550 uart = started(0);
  EXPECT_EQ(uart.write(kData, 0x42), std::byte{0x42});
  EXPECT_EQ(uart.read(kLineStatus), 0x60);
}

// 8.5, table IV: enabling raises the interrupt while the transmitter is empty, reading IIR or
// writing the holding register resets it. Linux's tests for broken parts do just this.
TEST(Uart16550, TransmitterInterrupt) {
  Uart16550 uart = started(0);
  for (int round = 0; round < 2; ++round) {
    uart.write(kInterruptEnable, kIerTransmitterEmpty);
    EXPECT_TRUE(uart.interrupt_line());
    EXPECT_EQ(uart.read(kInterruptId), kIirFifosEnabled | kIirTransmitterEmpty);
    EXPECT_FALSE(uart.interrupt_line());
    EXPECT_EQ(uart.read(kInterruptId), kIirFifosEnabled | kIirNone);
    uart.write(kInterruptEnable, 0);
  }
  uart.write(kInterruptEnable, kIerTransmitterEmpty);
  uart.read(kInterruptId);
  uart.write(kData, 'x');
  EXPECT_TRUE(uart.interrupt_line()) << "empty again";
  uart.write(kInterruptEnable, 0);
  EXPECT_FALSE(uart.interrupt_line());
}

// 8.5: priorities.
TEST(Uart16550, InterruptPriorities) {
  Uart16550 uart = started(0);
  uart.write(kModemControl, kMcrLoop);  // drops DCD, DSR, CTS: deltas
  for (int i = 0; i < 17; ++i) {
    uart.write(kData, 'x');
  }
  uart.write(kInterruptEnable, 0x0f);
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirLineStatus);
  uart.read(kLineStatus);
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirReceived);
  uart.write(kFifoControl, kFcrEnable | kFcrClearReceive);
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirTransmitterEmpty);
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirModemStatus);
  EXPECT_EQ(uart.read(kModemStatus) & 0x0f, kMsrDeltaCts | kMsrDeltaDsr | kMsrDeltaDcd);
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirNone);
}

// 8.8, bit 2: only the trailing edge of the ring.
TEST(Uart16550, RingReportsItsEnd) {
  Uart16550 uart;
  uart.write(kModemControl, kMcrLoop | kMcrOut1);
  EXPECT_EQ(uart.read(kModemStatus) & kMsrTrailingRing, 0);
  uart.write(kModemControl, kMcrLoop);
  EXPECT_EQ(uart.read(kModemStatus) & kMsrTrailingRing, kMsrTrailingRing);
}

// 8.4: trigger levels; below them a timeout reports what is there.
TEST(Uart16550, ReceiveTriggerAndTimeout) {
  const std::size_t levels[] = {1, 4, 8, 14};
  for (unsigned trigger = 0; trigger < 4; ++trigger) {
    Uart16550 uart = started(kIerReceived, trigger);
    uart.receive(to_bytes(std::string(levels[trigger], 'a')));
    EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirReceived);
    uart.read(kData);
    const unsigned expected = levels[trigger] == 1 ? kIirNone : kIirTimeout;
    EXPECT_EQ(uart.read(kInterruptId) & 0x0f, expected);
    while ((uart.read(kLineStatus) & kLsrDataReady) != 0) {
      uart.read(kData);
    }
    EXPECT_FALSE(uart.interrupt_line());
  }
}

// One interrupt serves all input: data stays ready until the queue is empty.
TEST(Uart16550, InputBeyondTheFifoWaits) {
  Uart16550 uart = started(kIerReceived, 2);
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += static_cast<char>('a' + i % 26);
  }
  EXPECT_EQ(uart.receive(to_bytes(text)), text.size());
  std::string got;
  while ((uart.read(kLineStatus) & kLsrDataReady) != 0) {
    got += static_cast<char>(uart.read(kData));
  }
  EXPECT_EQ(got, text);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrOverrun, 0);
}

TEST(Uart16550, QueueIsBounded) {
  Uart16550 uart = started(0);
  const auto flood = to_bytes(std::string(3 * Uart16550::kQueueSize, 'x'));
  EXPECT_EQ(uart.receive(flood), Uart16550::kQueueSize);
  const std::size_t more = uart.receive(flood);
  EXPECT_EQ(more, Uart16550::kFifoSize) << "what went on into the FIFO";
  EXPECT_EQ(uart.receive_space(), 0u);
  EXPECT_EQ(uart.receive(flood), 0u);
}

// 8.4, bit 0: changing it clears the FIFOs; off means one character, and IIR shows no FIFO.
TEST(Uart16550, CharacterMode) {
  Uart16550 uart;
  uart.write(kModemControl, kMcrOut2);
  uart.write(kInterruptEnable, kIerReceived);
  uart.receive(to_bytes("ab"));
  EXPECT_EQ(uart.read(kInterruptId), kIirReceived);
  EXPECT_EQ(uart.read(kData), 'a');
  EXPECT_EQ(uart.read(kData), 'b');
  EXPECT_EQ(uart.read(kInterruptId), kIirNone);
  uart.write(kModemControl, kMcrLoop);
  uart.write(kData, 'x');
  uart.write(kFifoControl, kFcrEnable);
  EXPECT_EQ(uart.read(kLineStatus) & kLsrDataReady, 0) << "cleared by the change";
}

// IBM PC AT: OUT2 gates the interrupt.
TEST(Uart16550, Out2Gates) {
  Uart16550 uart = started(kIerReceived);
  uart.receive(to_bytes("x"));
  EXPECT_TRUE(uart.interrupt_line());
  uart.write(kModemControl, 0);
  EXPECT_FALSE(uart.interrupt_line());
  uart.write(kModemControl, kMcrOut2);
  EXPECT_TRUE(uart.interrupt_line());
}

// Linux: "too much work for irq" after 512 rounds of its interrupt handler. A guest that prints
// without end must see "no interrupt" before that, and an interrupt soon again.
TEST(Uart16550, EndlessOutputGivesTheHandlerAnEnd) {
  Uart16550 uart = started(kIerTransmitterEmpty);
  unsigned rounds = 0;
  while ((uart.read(kInterruptId) & kIirNone) == 0) {
    ASSERT_LT(++rounds, 512u);
    for (int i = 0; i < 16; ++i) {
      uart.write(kData, 'x');
    }
  }
  EXPECT_EQ(rounds, Uart16550::kInterruptStreak);
  EXPECT_TRUE(uart.interrupt_line()) << "the interrupt is still pending";
  EXPECT_TRUE(uart.take_retrigger());
  EXPECT_FALSE(uart.take_retrigger());
  EXPECT_EQ(uart.read(kInterruptId) & 0x0f, kIirTransmitterEmpty);
}

TEST(Uart16550, HostileRegistersAreHarmless) {
  Uart16550 uart;
  for (unsigned reg = 0; reg < 300; ++reg) {
    for (unsigned value = 0; value < 256; ++value) {
      uart.write(reg, static_cast<std::uint8_t>(value));
      uart.receive(to_bytes("z"));
      for (unsigned from = 0; from < 8; ++from) {
        uart.read(from);
      }
    }
  }
  EXPECT_EQ(uart.read(8), 0xff);
  EXPECT_LE(uart.receive_waiting(), Uart16550::kQueueSize + Uart16550::kFifoSize);
}

}  // namespace
}  // namespace gpuvm::uart16550_test
