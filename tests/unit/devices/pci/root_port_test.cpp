// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/root_port.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/unit/devices/pci/fake_function.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::root_port_test {
namespace {

class CountingListener : public SecondaryBusListener {
 public:
  void secondary_bus_reset() override {
    ++resets;
    function_visible = port != nullptr && port->route(1, 0).function != nullptr;
  }
  int resets = 0;
  bool function_visible = true;
  const RootPort* port = nullptr;
};

GuestRange memory(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

RootPortConfig config() {
  return {.name = "port1",
          .device = 2,
          .slot = 7,
          .link = {.speed = 4, .width = 16},
          .max_payload_code = 1};
}

class RootPortTest : public testing::Test {
 protected:
  explicit RootPortTest(const RootPortConfig& wanted = config()) {
    auto created = RootPort::create(wanted);
    EXPECT_TRUE(created);
    port_ = std::move(*created);
    listener_.port = port_.get();
    EXPECT_TRUE(port_->set_listener(&listener_));
    EXPECT_TRUE(port_->attach(0, function_));
    EXPECT_TRUE(port_->set_power_on_setup({.secondary = 1,
                                           .subordinate = 1,
                                           .io = {},
                                           .memory = memory(0xe0000000, 32_MiB),
                                           .prefetchable = memory(0x38'0000'0000, 64_GiB)}));
  }
  std::uint32_t read(unsigned offset) {
    return port_->config_read(static_cast<std::uint16_t>(offset));
  }
  void write(unsigned offset, std::uint32_t value, std::uint32_t mask = 0xffffffff) {
    port_->config_write(static_cast<std::uint16_t>(offset), value, mask);
  }
  std::uint32_t express(unsigned offset) { return read(RootPort::kExpressOffset + offset); }
  void set_bus_reset(bool on) { write(0x3c, on ? 0x00400000 : 0, 0xffff0000); }

  FakeFunction function_;
  CountingListener listener_;
  std::unique_ptr<RootPort> port_;
};

TEST_F(RootPortTest, LinkStatusFollowsTheHardwareAndCapabilitiesDoNot) {
  const auto status = [this] { return express(pci::kExpressLinkControl) >> 16 & 0x3ff; };
  const auto capable = [this] { return express(pci::kExpressLinkCapabilities) & 0x3ff; };
  EXPECT_EQ(status(), 0x104U) << "nobody tells";
  function_.trained = PcieLink{.speed = 1, .width = 16};
  EXPECT_EQ(status(), 0x101U);
  function_.trained = PcieLink{.speed = 3, .width = 8};
  EXPECT_EQ(status(), 0x083U);
  EXPECT_EQ(capable(), 0x104U);
  function_.trained = PcieLink{.speed = 6, .width = 32};
  EXPECT_EQ(status(), 0x104U) << "no more than the port can";
  function_.trained.reset();
  EXPECT_EQ(status(), 0x104U) << "as last seen";
  EXPECT_NE(express(pci::kExpressLinkControl) & std::uint32_t{pci::kLinkStatusActive} << 16, 0U);
}

TEST_F(RootPortTest, Header) {
  EXPECT_EQ(read(0x00), 0x000c1b36U);
  EXPECT_EQ(read(0x08) >> 8, pci::kClassPciBridge);
  EXPECT_EQ(read(0x0c) >> 16 & 0xff, 1U);
  EXPECT_EQ(read(0x3c) >> 8 & 0xff, 0U) << "no interrupt pin";
  EXPECT_EQ(read(0x10), 0U) << "no BAR";
  write(0x10, 0xffffffff);
  EXPECT_EQ(read(0x10), 0U);
}

// PCI Express Base 6.0, 7.5.3: capability version 2, root port, slot implemented.
TEST_F(RootPortTest, ExpressCapability) {
  EXPECT_EQ(read(RootPort::kExpressOffset) & 0xff, 0x10U);
  EXPECT_EQ(express(0) >> 16, 0x0142U);
  EXPECT_EQ(express(pci::kExpressDeviceCapabilities) & 7, 1U);
  EXPECT_EQ(express(pci::kExpressDeviceControl) >> 5 & 7, 1U) << "payload as the device behind";
  EXPECT_EQ(express(pci::kExpressLinkCapabilities) & 0x3ff, 0x104U);
  EXPECT_EQ(express(pci::kExpressLinkCapabilities) >> 20 & 1, 1U);
  EXPECT_EQ(express(pci::kExpressLinkCapabilities) >> 21 & 1, 0U) << "no bandwidth interrupts";
  EXPECT_EQ(express(pci::kExpressLinkControl) >> 16, 0x3104U);
  EXPECT_EQ(express(pci::kExpressSlotCapabilities), 7U << 19);
  EXPECT_EQ(express(pci::kExpressSlotControl) >> 16, 0x40U) << "present";
  EXPECT_EQ(express(pci::kExpressLinkCapabilities2), 0x1eU) << "2.5 to 16 GT/s";
  EXPECT_EQ(express(pci::kExpressLinkControl2) & 0xf, 4U);
}

TEST_F(RootPortTest, CapabilityChainEnds) {
  std::set<unsigned> ids;
  unsigned at = read(0x34) & 0xff;
  for (int i = 0; at != 0 && i < 48; ++i) {
    ids.insert(read(at) & 0xff);
    at = read(at) >> 8 & 0xff;
  }
  EXPECT_EQ(at, 0U);
  EXPECT_EQ(ids, (std::set<unsigned>{0x01, 0x0d, 0x10})) << "no MSI: nothing would send it";
  EXPECT_EQ(read(0x100), 0U) << "no extended capabilities";
}

TEST_F(RootPortTest, PowerOnWindowsAndReset) {
  EXPECT_EQ(read(0x18), 0x00010100U);
  EXPECT_EQ(read(0x20), 0xe1f0e000U);
  EXPECT_EQ(read(0x24), 0xfff10001U);
  EXPECT_EQ(read(0x28), 0x38U);
  EXPECT_EQ(read(0x2c), 0x47U);
  EXPECT_EQ(read(0x04) & 0xffff, 0x0006U);
  for (unsigned offset = 0; offset < 0x100; offset += 4) {
    write(offset, 0xffffffff);
  }
  EXPECT_FALSE(port_->claims_bus(1));
  port_->reset();
  EXPECT_EQ(read(0x18), 0x00010100U);
  EXPECT_EQ(read(0x20), 0xe1f0e000U);
  EXPECT_EQ(read(0x28), 0x38U);
  EXPECT_EQ(port_->route(1, 0).function, &function_) << "what is attached survives";
}

// 7.5.1.3.6: the low nibbles say 16-bit addressing and are read-only.
TEST_F(RootPortTest, IoWindow) {
  EXPECT_EQ(read(0x1c) & 0xffff, 0x00f0U) << "closed, as nothing asked for one";
  EXPECT_EQ(read(0x04) & pci::kCommandIo, 0U);
  ASSERT_TRUE(port_->set_power_on_setup(
      {.secondary = 1, .subordinate = 1, .io = PortRange::create(IoPort(0xc000), 0x2000)}));
  EXPECT_EQ(read(0x1c) & 0xffff, 0xd0c0U);
  EXPECT_NE(read(0x04) & pci::kCommandIo, 0U);
  write(0x1c, 0xffff, 0xffff);
  EXPECT_EQ(read(0x1c) & 0xffff, 0xf0f0U);
}

// 7.5.1.3.13: the reset lasts while bit 6 is set; only the rising edge starts one.
TEST_F(RootPortTest, SecondaryBusReset) {
  set_bus_reset(true);
  EXPECT_EQ(listener_.resets, 1);
  EXPECT_FALSE(listener_.function_visible) << "nothing answers behind a link in reset";
  EXPECT_EQ(port_->route(1, 0).function, nullptr);
  EXPECT_EQ(express(pci::kExpressLinkControl) >> 16 & pci::kLinkStatusActive, 0U);
  set_bus_reset(true);
  EXPECT_EQ(listener_.resets, 1);
  write(0x3c, 0x55, 0xff);  // interrupt line, same dword
  EXPECT_EQ(listener_.resets, 1);
  set_bus_reset(false);
  EXPECT_EQ(listener_.resets, 1);
  EXPECT_EQ(port_->route(1, 0).function, &function_);
  EXPECT_NE(express(pci::kExpressLinkControl) >> 16 & pci::kLinkStatusActive, 0U);
  set_bus_reset(true);
  EXPECT_EQ(listener_.resets, 2);
  port_->reset();
  EXPECT_EQ(port_->route(1, 0).function, &function_);
}

// 7.5.3.7: Link Disable takes the link down, which resets the component behind.
TEST_F(RootPortTest, LinkDisable) {
  write(RootPort::kExpressOffset + pci::kExpressLinkControl, 0x10, 0xffff);
  EXPECT_EQ(listener_.resets, 1);
  EXPECT_EQ(port_->route(1, 0).function, nullptr);
  write(RootPort::kExpressOffset + pci::kExpressLinkControl, 0, 0xffff);
  EXPECT_EQ(listener_.resets, 1);
  EXPECT_EQ(port_->route(1, 0).function, &function_);
}

// 7.5.3.7: Retrain Link always reads 0, and training is over at once.
TEST_F(RootPortTest, RetrainReadsZero) {
  write(RootPort::kExpressOffset + pci::kExpressLinkControl, 0x20, 0xffff);
  EXPECT_EQ(express(pci::kExpressLinkControl) & 0x20, 0U);
  EXPECT_EQ(express(pci::kExpressLinkControl) >> 16 & 0x800, 0U);
}

// 7.5.2.2: a power state that is not supported is dropped; configuration survives D3hot.
TEST_F(RootPortTest, PowerStates) {
  const unsigned at = read(0x34) & 0xff;
  ASSERT_EQ(read(at) & 0xff, 0x01U);
  write(at + 4, 1);
  EXPECT_EQ(read(at + 4) & 3, 0U);
  write(at + 4, 3);
  EXPECT_EQ(read(at + 4) & 3, 3U);
  write(at + 4, 2);
  EXPECT_EQ(read(at + 4) & 3, 3U);
  write(at + 4, 0);
  EXPECT_EQ(read(at + 4) & 3, 0U);
  EXPECT_EQ(read(0x20), 0xe1f0e000U);
}

TEST_F(RootPortTest, AttachChecksThePlace) {
  FakeFunction other;
  EXPECT_FALSE(port_->attach(0, other)) << "taken";
  EXPECT_FALSE(port_->attach(8, other)) << "device 1 cannot exist behind a link";
  EXPECT_TRUE(port_->attach(7, other));
  EXPECT_EQ(port_->route(1, 7).function, &other);
  EXPECT_EQ(port_->route(1, 3).function, nullptr);
}

// The slot's and the link's status follow what is there; what the guest wrote stays.
TEST_F(RootPortTest, FunctionsComeAndGo) {
  FakeFunction other;
  ASSERT_TRUE(port_->attach(1, other));
  write(RootPort::kExpressOffset + pci::kExpressLinkControl, 0x40, 0xffff);
  EXPECT_FALSE(port_->detach(2)) << "nothing is there";
  EXPECT_FALSE(port_->detach(8)) << "nothing can be there";
  ASSERT_TRUE(port_->detach(0));
  EXPECT_EQ(port_->route(1, 0).function, nullptr);
  EXPECT_EQ(port_->route(1, 1).function, &other);
  EXPECT_EQ(express(pci::kExpressSlotControl) >> 16, 0x40U) << "present";
  ASSERT_TRUE(port_->detach(1));
  EXPECT_EQ(express(pci::kExpressSlotControl) >> 16, 0U);
  EXPECT_EQ(express(pci::kExpressLinkControl), 0x10000040U) << "the link is down";
  EXPECT_EQ(read(0x20), 0xe1f0e000U) << "windows stay";
  port_->reset();
  EXPECT_EQ(express(pci::kExpressSlotControl) >> 16, 0U);
  ASSERT_TRUE(port_->attach(0, function_));
  EXPECT_EQ(port_->route(1, 0).function, &function_);
  EXPECT_EQ(express(pci::kExpressSlotControl) >> 16, 0x40U);
  EXPECT_EQ(express(pci::kExpressLinkControl) >> 16, 0x3104U);
}

// A guest cannot make a function leave from inside of its own access, which it would wait for.
TEST_F(RootPortTest, NothingLeavesInsideOfAnAccess) {
  const auto route = port_->route(1, 0);
  EXPECT_FALSE(port_->detach(0));
  EXPECT_FALSE(port_->set_listener(nullptr));
  EXPECT_EQ(port_->route(1, 0).function, &function_);
}

TEST(RootPortEmpty, SlotIsEmptyAndLinkDown) {
  auto port = RootPort::create(config());
  ASSERT_TRUE(port);
  EXPECT_EQ((*port)->config_read(0x18), 0U);
  EXPECT_EQ((*port)->config_read(0x20), 0x0000fff0U) << "windows closed";
  EXPECT_EQ((*port)->config_read(0x24), 0x0001fff1U);
  EXPECT_EQ((*port)->config_read(0x04) & 0xffff, 0U);
  EXPECT_EQ((*port)->config_read(RootPort::kExpressOffset + pci::kExpressSlotControl), 0U);
  EXPECT_EQ((*port)->config_read(RootPort::kExpressOffset + pci::kExpressLinkControl) >> 16,
            0x1000U);
}

TEST(RootPortCreate, RefusesBadConfigurations) {
  const auto bad = [](auto change) {
    RootPortConfig wanted = config();
    change(wanted);
    return !RootPort::create(wanted).has_value();
  };
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.device = 0; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.device = 32; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.function = 8; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.slot = 0; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.slot = 0x2000; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.link.width = 3; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.link.speed = 7; }));
  EXPECT_TRUE(bad([](RootPortConfig& c) { c.max_payload_code = 6; }));
}

TEST_F(RootPortTest, RefusesBadSetups) {
  EXPECT_FALSE(port_->set_power_on_setup({.secondary = 2, .subordinate = 1}));
  EXPECT_FALSE(port_->set_power_on_setup({.secondary = 0, .subordinate = 1}));
  EXPECT_FALSE(port_->set_power_on_setup({.memory = memory(0xe0080000, 1_MiB)}));
  EXPECT_FALSE(port_->set_power_on_setup({.memory = memory(0xe0000000, 64_KiB)}));
  EXPECT_FALSE(port_->set_power_on_setup({.memory = memory(4_GiB, 1_MiB)}));
  EXPECT_FALSE(port_->set_power_on_setup({.io = PortRange::create(IoPort(0xc000), 0x800)}));
  EXPECT_FALSE(port_->set_power_on_setup({.io = PortRange::create(IoPort(0x10000), 0x1000)}));
  EXPECT_EQ(read(0x20), 0xe1f0e000U) << "unchanged";
}

// Hostile writes to every register: identity and capability structure hold.
TEST_F(RootPortTest, RandomWritesKeepReadOnlyBits) {
  std::mt19937 random(42);
  const auto any = [&] { return static_cast<std::uint32_t>(random()); };
  const auto structure = [this] {
    std::vector<std::uint32_t> values = {read(0x00), read(0x08), read(0x34), read(0x100)};
    for (unsigned at = read(0x34) & 0xff; at != 0; at = read(at) >> 8 & 0xff) {
      values.push_back(read(at));
    }
    return values;
  };
  const auto before = structure();
  for (int i = 0; i < 20000; ++i) {
    write(any() % 1024 * 4, any(), any());
  }
  EXPECT_EQ(structure(), before);
  EXPECT_EQ(read(0x20) & 0x000f000f, 0U);
  EXPECT_EQ(read(0x24) & 0x000f000f, 0x00010001U);
}

TEST_F(RootPortTest, InspectShowsWindows) {
  const auto shown = [this](std::string_view key) {
    InspectNode node;
    port_->inspect(node);
    return std::string(node.get(key));
  };
  EXPECT_EQ(shown("memory_window"), "0xe0000000-0xe1ffffff");
  EXPECT_EQ(shown("prefetchable_window"), "0x3800000000-0x47ffffffff");
  EXPECT_EQ(shown("secondary_bus"), "1");
  // 7.5.1.3.8: a base above the limit closes a window.
  write(0x20, 0x0000fff0);
  write(0x24, 0x0000fff0);
  write(0x28, 0);
  write(0x2c, 0);
  EXPECT_EQ(shown("memory_window"), "closed");
  EXPECT_EQ(shown("prefetchable_window"), "closed");
  write(0x24, 0xfff00000);
  write(0x2c, 0xffffffff);
  EXPECT_EQ(shown("prefetchable_window"), "0x0-0xffffffffffffffff");
}

}  // namespace
}  // namespace gpuvm::root_port_test
