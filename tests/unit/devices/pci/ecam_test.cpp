// SPDX-License-Identifier: Apache-2.0
// Ecam, ConfigPorts and PciTopology over plain-memory functions, checked against a model.
#include "devices/pci/ecam.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "devices/pci/config_ports.hpp"
#include "tests/unit/devices/pci/fake_function.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::ecam_test {
namespace {

class FakePort : public IoHandler {
 public:
  std::string_view name() const override { return "reset-port"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override {
    last_offset = offset;
    store_le(out, 0x06);
    return IoStatus::kOk;
  }
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override {
    last_offset = offset;
    written = load_le(in);
    return IoStatus::kOk;
  }
  std::uint64_t last_offset = 99;
  std::uint64_t written = 0;
};

class ConfigAccess : public testing::Test {
 protected:
  ConfigAccess() {
    auto port = RootPort::create({.name = "port1", .device = 2});
    EXPECT_TRUE(port);
    port_ = std::move(*port);
    EXPECT_TRUE(topology_.add(0x08, root_));
    EXPECT_TRUE(topology_.add_root_port(*port_));
    EXPECT_TRUE(port_->attach(0, behind_));
    EXPECT_TRUE(port_->attach(1, behind1_));
    EXPECT_TRUE(port_->set_power_on_setup({.secondary = 1, .subordinate = 1}));
  }

  std::uint64_t ecam_read(std::uint64_t offset, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    const auto out = std::span(bytes).first(size);
    if (ecam_.read(offset, out) != IoStatus::kOk) {
      std::fill(out.begin(), out.end(), std::byte{0xff});  // what the bus does
    }
    return load_le(out);
  }
  IoStatus ecam_write(std::uint64_t offset, std::uint64_t value, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    store_le(std::span(bytes), value);
    return ecam_.write(offset, std::span(bytes).first(size));
  }
  std::uint64_t port_read(std::uint16_t port, std::size_t size) {
    std::array<std::byte, 4> bytes{};
    const auto out = std::span(bytes).first(size);
    if (ports_.read(port - ConfigPorts::kPort, out) != IoStatus::kOk) {
      std::fill(out.begin(), out.end(), std::byte{0xff});
    }
    return load_le(out);
  }
  IoStatus port_write(std::uint16_t port, std::uint64_t value, std::size_t size) {
    std::array<std::byte, 4> bytes{};
    store_le(std::span(bytes), value);
    return ports_.write(port - ConfigPorts::kPort, std::span(bytes).first(size));
  }
  static std::uint64_t expected(const FakeFunction& function, std::size_t offset,
                                std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= static_cast<std::uint64_t>(function.bytes[offset + i]) << (8 * i);
    }
    return value;
  }

  FakeFunction root_{"root"};
  FakeFunction behind_{"behind.0"};
  FakeFunction behind1_{"behind.1"};
  std::unique_ptr<RootPort> port_;
  PciTopology topology_;
  FakePort reset_port_;
  Ecam ecam_{topology_, 4};
  ConfigPorts ports_{topology_, &reset_port_};
};

constexpr std::uint64_t kRoot = 0x08 << 12;
constexpr std::uint64_t kBehind = 1 << 20;

// PCI Express Base 6.0, 7.2.2: every offset and width inside a function reads its bytes.
TEST_F(ConfigAccess, EcamReadsEveryOffsetAndWidth) {
  for (const std::size_t size : {1U, 2U, 4U, 8U}) {
    for (std::size_t offset = 0; offset + size <= pci::kConfigSize; ++offset) {
      ASSERT_EQ(ecam_read(kRoot + offset, size), expected(root_, offset, size))
          << offset << " size " << size;
    }
  }
  EXPECT_TRUE(root_.aligned);
}

TEST_F(ConfigAccess, EcamWritesExactlyTheBytesOfTheAccess) {
  auto model = root_.bytes;
  std::mt19937_64 random(7);
  for (const std::size_t size : {1U, 2U, 4U, 8U}) {
    for (std::size_t offset = 0; offset + size <= pci::kConfigSize; ++offset) {
      const std::uint64_t value = random();
      ASSERT_EQ(ecam_write(kRoot + offset, value, size), IoStatus::kOk);
      for (std::size_t i = 0; i < size; ++i) {
        model[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
      }
      ASSERT_EQ(root_.bytes, model) << offset << " size " << size;
    }
  }
  EXPECT_TRUE(root_.aligned);
}

// One write per dword, with the lanes of the access: a register with side effects sees it once.
TEST_F(ConfigAccess, EcamByteLanes) {
  ecam_write(kRoot + 0x43, 0x1122334455667788, 8);
  const std::vector<FakeFunction::Write> lanes = {{0x40, 0x88000000, 0xff000000},
                                                  {0x44, 0x44556677, 0xffffffff},
                                                  {0x48, 0x00112233, 0x00ffffff}};
  EXPECT_EQ(root_.writes, lanes);
}

TEST_F(ConfigAccess, EcamRefusesWhatLeavesTheFunction) {
  EXPECT_EQ(ecam_write(kRoot + 0xfff, 0, 2), IoStatus::kUnaligned);
  EXPECT_EQ(ecam_write(kRoot + 0xffc, 0, 8), IoStatus::kUnaligned);
  EXPECT_EQ(ecam_read(kRoot + 0xffd, 4), 0xffffffffU);
  EXPECT_EQ(ecam_write(ecam_.size(), 0, 4), IoStatus::kNoResponse);
  EXPECT_EQ(ecam_write(~std::uint64_t{0}, 0, 4), IoStatus::kNoResponse);
  EXPECT_EQ(ecam_.read(kRoot, {}), IoStatus::kInvalidSize);
  EXPECT_TRUE(root_.writes.empty());
}

TEST_F(ConfigAccess, AbsentFunctionsReadAllOnesAndDropWrites) {
  for (unsigned devfn = 0; devfn < 256; ++devfn) {
    if (devfn == 0x08 || devfn == port_->devfn()) {
      continue;
    }
    EXPECT_EQ(ecam_read(std::uint64_t{devfn} << 12, 4), 0xffffffffU) << devfn;
    EXPECT_EQ(ecam_write(std::uint64_t{devfn} << 12, 0, 4), IoStatus::kOk);
  }
}

// PCI Express Base 6.0, 7.3.1: a link leads to device 0 only; functions keep their numbers.
TEST_F(ConfigAccess, SecondaryBusAnswersDeviceZeroOnly) {
  EXPECT_EQ(ecam_read(kBehind, 4), expected(behind_, 0, 4));
  EXPECT_EQ(ecam_read(kBehind + 0x1100, 4), expected(behind1_, 0x100, 4));
  for (unsigned devfn = 2; devfn < 256; ++devfn) {
    EXPECT_EQ(ecam_read(kBehind + (std::uint64_t{devfn} << 12), 4), 0xffffffffU) << devfn;
  }
}

// 7.3.3: Type 1 requests are routed by the port's current bus numbers.
TEST_F(ConfigAccess, RoutingFollowsTheBusNumbers) {
  port_->config_write(0x18, 0x00030300, 0x00ffff00);
  EXPECT_EQ(ecam_read(kBehind, 4), 0xffffffffU);
  EXPECT_EQ(ecam_read(3ULL << 20, 4), expected(behind_, 0, 4));
  port_->config_write(0x18, 0x00030200, 0x00ffff00);
  EXPECT_EQ(ecam_read(3ULL << 20, 4), 0xffffffffU) << "behind the secondary bus there is no bridge";
  EXPECT_EQ(ecam_read(2ULL << 20, 4), expected(behind_, 0, 4));
  port_->config_write(0x18, 0x00010200, 0x00ffff00);
  EXPECT_EQ(ecam_read(2ULL << 20, 4), 0xffffffffU) << "subordinate below secondary";
  port_->config_write(0x18, 0x00ff0000, 0x00ffff00);
  EXPECT_EQ(ecam_read(1ULL << 20, 4), 0xffffffffU) << "secondary bus 0 claims nothing";
  EXPECT_EQ(ecam_read(0x10 << 12, 4), 0x000c1b36U) << "the port itself stays on bus 0";
  port_->reset();
  EXPECT_EQ(ecam_read(kBehind, 4), expected(behind_, 0, 4));
}

TEST_F(ConfigAccess, TwoPortsOnOneBusAreNoDisaster) {
  auto second = RootPort::create({.name = "port2", .device = 3});
  ASSERT_TRUE(second);
  FakeFunction other("other");
  ASSERT_TRUE((*second)->attach(0, other));
  ASSERT_TRUE((*second)->set_power_on_setup({.secondary = 1, .subordinate = 9}));
  ASSERT_TRUE(topology_.add_root_port(**second));
  ecam_write(kBehind + 0x100, 1, 4);
  EXPECT_EQ(behind_.writes.size() + other.writes.size(), 1U);
}

TEST_F(ConfigAccess, OnePlaceOneFunction) {
  FakeFunction other("other");
  EXPECT_FALSE(topology_.add(0x08, other));
  EXPECT_FALSE(topology_.add(port_->devfn(), other));
  EXPECT_EQ(topology_.root_devices(), (std::vector<std::uint8_t>{1, 2}));
}

// PCI Local Bus 3.0, 3.2.2.3.2: CONFIG_ADDRESS with enable, bus, device, function, register.
TEST_F(ConfigAccess, PortsReadEveryRegisterAndWidth) {
  for (std::uint32_t offset = 0; offset < 256; offset += 4) {
    ASSERT_EQ(port_write(0xcf8, 0x80000000 | 0x0800 | offset, 4), IoStatus::kOk);
    ASSERT_EQ(port_read(0xcf8, 4), 0x80000800 | offset);
    for (const std::uint32_t size : {1U, 2U, 4U}) {
      for (std::uint32_t lane = 0; lane + size <= 4; ++lane) {
        ASSERT_EQ(port_read(static_cast<std::uint16_t>(0xcfc + lane), size),
                  expected(root_, offset + lane, size));
      }
    }
  }
}

TEST_F(ConfigAccess, PortsWriteByteLanes) {
  port_write(0xcf8, 0x80010040, 4);
  port_write(0xcfe, 0xabcd, 2);
  port_write(0xcfd, 0x5a, 1);
  const std::vector<FakeFunction::Write> lanes = {{0x40, 0xabcd0000, 0xffff0000},
                                                  {0x40, 0x00005a00, 0x0000ff00}};
  EXPECT_EQ(behind_.writes, lanes);
}

TEST_F(ConfigAccess, PortsReservedBitsReadZero) {
  port_write(0xcf8, 0xffffffff, 4);
  EXPECT_EQ(port_read(0xcf8, 4), 0x80fffffcU);
}

TEST_F(ConfigAccess, PortsWithoutEnableBitAnswerNothing) {
  port_write(0xcf8, 0x00000800, 4);
  EXPECT_EQ(port_read(0xcfc, 4), 0xffffffffU);
  port_write(0xcfc, 0, 4);
  EXPECT_TRUE(root_.writes.empty());
}

// 3.2.2.3.2: "anything other than a DWORD access" to CONFIG_ADDRESS is an ordinary I/O access.
TEST_F(ConfigAccess, SmallAccessesToTheAddressAreOrdinaryIo) {
  port_write(0xcf8, 0x80000800, 4);
  EXPECT_EQ(port_write(0xcf8, 0, 1), IoStatus::kInvalidSize);
  EXPECT_EQ(port_write(0xcf8, 0, 2), IoStatus::kInvalidSize);
  EXPECT_EQ(port_write(0xcfa, 0, 1), IoStatus::kInvalidSize);
  EXPECT_EQ(port_write(0xcfa, 0, 4), IoStatus::kInvalidSize) << "crosses into the data";
  EXPECT_EQ(port_write(0xcfe, 0, 4), IoStatus::kInvalidSize) << "leaves the data";
  EXPECT_EQ(port_read(0xcf8, 2), 0xffffU);
  EXPECT_EQ(port_read(0xcf8, 4), 0x80000800U) << "unchanged";
  EXPECT_TRUE(root_.writes.empty());
}

TEST_F(ConfigAccess, ResetPortIsReachedThroughTheAddress) {
  EXPECT_EQ(port_write(0xcf9, 0x0e, 1), IoStatus::kOk);
  EXPECT_EQ(reset_port_.written, 0x0eU);
  EXPECT_EQ(reset_port_.last_offset, 0U);
  EXPECT_EQ(port_read(0xcf9, 1), 0x06U);
  EXPECT_EQ(port_write(0xcf9, 0x06, 2), IoStatus::kInvalidSize);
  ConfigPorts bare(topology_, nullptr);
  std::array<std::byte, 1> byte{};
  EXPECT_EQ(bare.read(1, byte), IoStatus::kInvalidSize);
}

TEST_F(ConfigAccess, ResetClearsTheAddress) {
  port_write(0xcf8, 0x80000800, 4);
  ports_.reset();
  EXPECT_EQ(port_read(0xcf8, 4), 0U);
  EXPECT_EQ(port_read(0xcfc, 4), 0xffffffffU);
}

TEST_F(ConfigAccess, CountsExits) {
  ecam_read(kRoot, 4);
  ecam_write(kRoot, 0, 4);
  ecam_write(kRoot, 0, 4);
  InspectNode node;
  ecam_.inspect(node);
  EXPECT_EQ(node.get("reads"), "1");
  EXPECT_EQ(node.get("writes"), "2");
}

TEST_F(ConfigAccess, CountsExitsOfEachBus) {
  ecam_read(kRoot, 4);
  ecam_read(pci::kEcamBytesPerBus, 4);
  ecam_write(pci::kEcamBytesPerBus, 0, 4);
  ecam_read(ecam_.size(), 4);  // of no bus
  InspectNode node;
  ecam_.inspect(node);
  const auto& accesses = node.child("accesses");
  EXPECT_EQ(accesses.get("bus_0"), "1");
  EXPECT_EQ(accesses.get("bus_1"), "2");
  EXPECT_EQ(accesses.get("bus_2"), "");
}

}  // namespace
}  // namespace gpuvm::ecam_test
