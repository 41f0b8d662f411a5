// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/host_bridge.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "devices/pci/lpc_bridge.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::host_bridge_test {
namespace {

GuestRange memory(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

TEST(HostBridge, IdentifiesTheChipset) {
  auto bridge = HostBridge::create(memory(0xe0000000, 256_MiB));
  EXPECT_EQ(bridge->config_read(0x00), 0x29c08086U);
  EXPECT_EQ(bridge->config_read(0x08), 0x06000000U);
  EXPECT_EQ(bridge->config_read(0x0c), 0U);
  EXPECT_EQ(bridge->config_read(0x34), 0U) << "no capabilities";
}

// Intel 316966, 5.1.15: enable in bit 0, length in bits 2:1.
TEST(HostBridge, TellsWhereTheEcamIs) {
  const auto value = [](std::uint64_t base, std::uint64_t size) {
    auto bridge = HostBridge::create(memory(base, size));
    return static_cast<std::uint64_t>(bridge->config_read(0x64)) << 32 | bridge->config_read(0x60);
  };
  EXPECT_EQ(value(0xe0000000, 256_MiB), 0xe0000001U);
  EXPECT_EQ(value(0xe8000000, 128_MiB), 0xe8000003U);
  EXPECT_EQ(value(0xec000000, 64_MiB), 0xec000005U);
  EXPECT_EQ(value(0x8'0000'0000, 256_MiB), 0x8'0000'0001U);
  EXPECT_EQ(value(0xe0000000, 32_MiB), 0U) << "no code for this length";
  EXPECT_EQ(value(64_GiB, 256_MiB), 0U) << "base has bits 35:26 only";
}

TEST(HostBridge, IsReadOnly) {
  auto bridge = HostBridge::create(memory(0xe0000000, 256_MiB));
  for (std::uint16_t offset = 0; offset < 256; offset += 4) {
    const auto before = bridge->config_read(offset);
    bridge->config_write(offset, ~before, 0xffffffff);
    EXPECT_EQ(bridge->config_read(offset), before) << offset;
  }
}

// As OVMF does it: 0, the upper half, then base and enable.
TEST(HostBridge, FollowsTheFirmwareWhereTheMachineDoes) {
  auto bridge = HostBridge::create(memory(0xe0000000, 256_MiB));
  std::vector<std::optional<GuestRange>> told;
  bridge->set_ecam_listener([&] { told.push_back(bridge->ecam()); });
  EXPECT_EQ(bridge->config_read(0x60), 0xe0000001U) << "until then where the machine put it";
  bridge->config_write(0x60, 0, 0xffffffff);
  bridge->config_write(0x64, 0, 0xffffffff);
  bridge->config_write(0x60, 0xb0000001, 0xffffffff);
  using Told = std::vector<std::optional<GuestRange>>;
  EXPECT_EQ(told, (Told{std::nullopt, memory(0xb0000000, 256_MiB)}));
  EXPECT_EQ(bridge->config_read(0x60), 0xb0000001U);
  bridge->config_write(0x60, 0xb0000001, 0xffffffff);
  EXPECT_EQ(told.size(), 2U) << "nothing changed";
  bridge->config_write(0x60, 0xc8000003, 0xffffffff);
  EXPECT_EQ(told.back(), memory(0xc8000000, 128_MiB));
  bridge->config_write(0x64, 0xffffffff, 0xffffffff);
  EXPECT_EQ(told.back(), memory(0xf'c800'0000, 128_MiB)) << "36 bits";
  bridge->config_write(0x60, 0xffffffff, 0xffffffff);
  EXPECT_EQ(told.back(), std::nullopt) << "length 3 is reserved";
  bridge->reset();
  EXPECT_EQ(told.back(), memory(0xe0000000, 256_MiB));
}

// The listener moves the ECAM, which unmaps and maps devices: no lock of the bridge may be held.
TEST(HostBridge, TellsWithoutItsLock) {
  auto bridge = HostBridge::create(memory(0xe0000000, 256_MiB));
  std::vector<std::uint32_t> seen;
  bridge->set_ecam_listener([&] { seen.push_back(bridge->config_read(0x60)); });
  bridge->config_write(0x60, 0xb0000001, 0xffffffff);
  bridge->reset();
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{0xb0000001, 0xe0000001}));
}

// Two vCPUs write at once: what the machine follows is in the end what the register says.
TEST(HostBridge, TheNewestPlaceWins) {
  auto bridge = HostBridge::create(memory(0xe0000000, 256_MiB));
  Mutex mutex;
  std::optional<GuestRange> followed;
  bridge->set_ecam_listener([&] {
    const MutexLock lock(mutex);
    followed = bridge->ecam();
  });
  const auto write = [&bridge](std::uint32_t place) {
    for (unsigned i = 0; i < 500; ++i) {
      bridge->config_write(0x60, place + (i % 2 << 28), 0xffffffff);
    }
  };
  std::thread vcpu([&write] { write(0x80000001); });
  write(0xb0000001);
  vcpu.join();
  EXPECT_EQ(followed, bridge->ecam());
}

// Intel 316972, 13.1: what firmware asks before it sets up the ACPI ports.
TEST(LpcBridge, SaysThatTheAcpiPortsAreThere) {
  LpcBridge bridge(IoPort(0x600));
  EXPECT_EQ(bridge.config_read(0x00), 0x29188086U);
  EXPECT_EQ(bridge.config_read(0x08), 0x06010000U);
  bridge.config_write(0x40, 0xb000, 0xffff);
  EXPECT_EQ(bridge.config_read(0x40), 0x601U);
  EXPECT_EQ(bridge.config_read(0x44) & 0x80, 0x80U);
  bridge.config_write(0x60, 0x0b0a0a0b, 0xffffffff);
  bridge.config_write(0xf0, 0xfed1c001, 0xffffffff);
  EXPECT_EQ(bridge.config_read(0x60), 0x0b0a0a0bU);
  EXPECT_EQ(bridge.config_read(0xf0), 0xfed1c001U);
  bridge.reset();
  EXPECT_EQ(bridge.config_read(0x60), 0x80808080U);
  EXPECT_EQ(bridge.config_read(0xf0), 0U);
}

}  // namespace
}  // namespace gpuvm::host_bridge_test
