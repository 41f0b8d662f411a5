// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/serial_port.hpp"

#include <gtest/gtest.h>

#include "fakes.hpp"

namespace gpuvm::serial_port_test {
namespace {

using namespace uart;
using Changes = std::vector<FakePins::Change>;

struct SerialPortTest : testing::Test {
  void start(unsigned interrupt_enable) {
    write8(port, kFifoControl, kFcrEnable);
    write8(port, kModemControl, kMcrOut2);
    write8(port, kInterruptEnable, interrupt_enable);
  }
  FakePins pins;
  FakeSink sink;
  SerialPort port{sink, pins};
};

TEST_F(SerialPortTest, PrintsInOrder) {
  for (const char c : std::string("hello")) {
    EXPECT_EQ(write8(port, kData, static_cast<unsigned char>(c)), IoStatus::kOk);
  }
  EXPECT_EQ(sink.text, "hello");
}

TEST_F(SerialPortTest, DrivesItsPinOnlyOnChanges) {
  start(kIerReceived);
  EXPECT_TRUE(pins.changes.empty());
  port.receive(to_bytes("ab"));
  port.receive(to_bytes("c"));
  EXPECT_EQ(pins.changes, (Changes{{4, true}}));
  while ((read8(port, kLineStatus) & kLsrDataReady) != 0) {
    read8(port, kData);
  }
  EXPECT_EQ(pins.changes, (Changes{{4, true}, {4, false}}));
}

TEST_F(SerialPortTest, HoldOffPulsesThePin) {
  start(kIerTransmitterEmpty);
  while ((read8(port, kInterruptId) & kIirNone) == 0) {
    write8(port, kData, 'x');
  }
  ASSERT_GE(pins.changes.size(), 2u);
  EXPECT_FALSE(pins.changes[pins.changes.size() - 2].high);
  EXPECT_TRUE(pins.level()) << "a fresh edge for what is still pending";
}

TEST_F(SerialPortTest, TellsWhenRefusedInputFitsAgain) {
  int ready = 0;
  port.set_input_ready([&ready] { ++ready; });
  const auto flood = to_bytes(std::string(2 * Uart16550::kQueueSize, 'x'));
  EXPECT_LT(port.receive(flood), flood.size());
  std::size_t read = 0;
  std::size_t half = 0;
  while ((read8(port, kLineStatus) & kLsrDataReady) != 0) {
    read8(port, kData);
    ++read;
    if (ready != 0 && half == 0) {
      half = read;
    }
  }
  EXPECT_NEAR(static_cast<double>(half), Uart16550::kQueueSize / 2.0, Uart16550::kFifoSize);
  EXPECT_EQ(ready, 1) << "once";
}

TEST_F(SerialPortTest, ResetLowersThePinAndFreesInput) {
  int ready = 0;
  port.set_input_ready([&ready] { ++ready; });
  start(kIerReceived);
  port.receive(to_bytes(std::string(2 * Uart16550::kQueueSize, 'x')));
  EXPECT_TRUE(pins.level());
  port.reset();
  EXPECT_FALSE(pins.level());
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(read8(port, kLineStatus), 0x60);
}

TEST_F(SerialPortTest, RefusesWhatIsNoByteRegister) {
  std::array<std::byte, 8> buffer{};
  for (std::uint64_t offset = 0; offset < 20; ++offset) {
    for (const std::size_t width : {2u, 4u, 8u}) {
      EXPECT_EQ(port.read(offset, std::span(buffer).first(width)), IoStatus::kInvalidSize);
      EXPECT_EQ(port.write(offset, std::span(buffer).first(width)), IoStatus::kInvalidSize);
    }
    const auto expected = offset < 8 ? IoStatus::kOk : IoStatus::kInvalidRegister;
    EXPECT_EQ(port.read(offset, std::span(buffer).first(1)), expected);
    EXPECT_EQ(port.write(offset, std::span(buffer).first(1)), expected);
  }
}

TEST_F(SerialPortTest, InspectCounts) {
  write8(port, kData, 'x');
  port.receive(to_bytes("abc"));
  InspectNode node;
  port.inspect(node);
  EXPECT_EQ(node.get("transmitted"), "1");
  EXPECT_EQ(node.get("received"), "3");
  EXPECT_EQ(node.get("input_waiting"), "3");
}

bool contains(const aml::Terms& terms, std::vector<unsigned> wanted) {
  const auto bytes = aml::join(terms).bytes;
  std::vector<std::byte> pattern;
  for (const unsigned value : wanted) {
    pattern.push_back(static_cast<std::byte>(value));
  }
  return std::search(bytes.begin(), bytes.end(), pattern.begin(), pattern.end()) != bytes.end();
}

// ACPI 6.5, 6.4.2.5 (I/O port descriptor) and 6.4.2.1 (IRQ descriptor).
TEST_F(SerialPortTest, AcpiNamesPortsAndInterrupt) {
  EXPECT_TRUE(contains(port.acpi(), {0x41, 0xd0, 0x05, 0x01})) << "PNP0501";
  EXPECT_TRUE(contains(port.acpi(), {0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08}));
  EXPECT_TRUE(contains(port.acpi(), {0x10, 0x00})) << "IRQ mask 1 << 4";
}

}  // namespace
}  // namespace gpuvm::serial_port_test
