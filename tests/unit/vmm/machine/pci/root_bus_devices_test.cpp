// SPDX-License-Identifier: Apache-2.0
// RootBusDevices with functions that do nothing, with disks and with networks.
#include "vmm/machine/pci/root_bus_devices.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "devices/pci/pci_acpi.hpp"
#include "devices/virtio/net/stream_link.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"
#include "vmm/machine/pci/disks.hpp"
#include "vmm/machine/pci/networks.hpp"

namespace gpuvm::root_bus_devices_test {
namespace {

using History = std::vector<std::string>;

/// A trivial device: no more than this.
class TrivialFunction : public EmulatedFunction {
 public:
  TrivialFunction(std::string name, std::uint64_t bar_size, History& history)
      : name_(std::move(name)), history_(history) {
    EXPECT_TRUE(bars_.define(0, {.kind = BarKind::kMemory32, .size = bar_size}));
  }
  std::string_view name() const override { return name_; }
  std::uint32_t config_read(std::uint16_t offset) override {
    return offset == pci::kBar0 ? bars_.read(offset) : static_cast<std::uint32_t>(name_[0]);
  }
  void config_write(std::uint16_t, std::uint32_t, std::uint32_t) override {}
  BarSet& bars() override { return bars_; }
  void expect_rest() override { history_.push_back("expect " + name_); }
  void quiesce() override { history_.push_back("quiesce " + name_); }
  void reset() override { history_.push_back("reset " + name_); }
  void pause() override { history_.push_back("pause " + name_); }
  void resume() override { history_.push_back("resume " + name_); }
  void inspect(InspectNode& node) const override { node.field("trivial", true); }

 private:
  const std::string name_;
  History& history_;
  BarSet bars_;
};

class RootBusDevicesTest : public ::testing::Test {
 protected:
  RootBusDevice trivial(std::uint8_t slot, std::string name, std::uint64_t bar_size = 0x1000) {
    return {.slot = slot,
            .make = [this, name, bar_size](const RootBusEnvironment&,
                                           Gsi pin) -> Result<RootBusDevice::Parts> {
              pins_.push_back(pin);
              return RootBusDevice::Parts{
                  .device = {},
                  .function = std::make_unique<TrivialFunction>(name, bar_size, history_)};
            }};
  }
  Result<std::unique_ptr<RootBusDevices>> make(std::vector<RootBusDevice> devices) {
    return RootBusDevices::create(std::move(devices), {.memory = machine_.memory,
                                                       .mmio = machine_.mmio,
                                                       .doorbells = machine_.doorbells,
                                                       .msi = machine_.msi,
                                                       .pins = machine_.pins,
                                                       .bar_space = machine_.bar_space});
  }
  static std::uint32_t read(const PciTopology& topology, unsigned slot, std::uint16_t offset) {
    std::array<std::byte, 4> bytes{};
    topology.read({.bus = 0, .devfn = static_cast<std::uint8_t>(slot * 8)}, offset, bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }

  test::FakeMachine machine_;
  History history_;
  std::vector<Gsi> pins_;
};

TEST_F(RootBusDevicesTest, AreInTheirSlotsWhateverTheOrder) {
  auto devices = make({trivial(0x12, "b"), trivial(0x11, "a", 0x2000)});
  ASSERT_TRUE(devices) << devices.error().to_string();
  PciTopology topology;
  ASSERT_TRUE((*devices)->add_to(topology));
  EXPECT_EQ(topology.root_devices(), (std::vector<std::uint8_t>{0x11, 0x12}));
  EXPECT_EQ(read(topology, 0x11, 0), unsigned{'a'});
  EXPECT_EQ(read(topology, 0x12, 0), unsigned{'b'});
  EXPECT_EQ(pins_, (std::vector<Gsi>{intx_gsi(0x11, 0), intx_gsi(0x12, 0)}));
}

TEST_F(RootBusDevicesTest, BarsArePlacedInTheOrderOfTheirRequests) {
  auto devices = make({trivial(0x12, "b"), trivial(0x11, "a", 0x2000)});
  ASSERT_TRUE(devices);
  const auto request = (*devices)->request();
  ASSERT_EQ(request.bars.size(), 2U);
  EXPECT_EQ(request.bars[0].function, "a");
  EXPECT_EQ(request.bars[0].description.size, 0x2000U);
  EXPECT_EQ(request.bars[1].function, "b");
  EXPECT_FALSE(request.bridge);
  ASSERT_TRUE((*devices)->place({.addresses = {0x80000000, 0x80002000}, .io = {}}));
  PciTopology topology;
  ASSERT_TRUE((*devices)->add_to(topology));
  EXPECT_EQ(read(topology, 0x11, pci::kBar0), 0x80000000U);
  EXPECT_EQ(read(topology, 0x12, pci::kBar0), 0x80002000U);
}

TEST_F(RootBusDevicesTest, WhatIsAskedOfThemIsAskedOfAll) {
  auto devices = make({trivial(2, "b"), trivial(1, "a")});
  ASSERT_TRUE(devices);
  (*devices)->pause();
  (*devices)->resume();
  (*devices)->quiesce();
  (*devices)->reset();
  // All hear of a rest before the first is waited for: the waits do not add up.
  EXPECT_EQ(history_,
            (History{"expect a", "expect b", "pause a", "pause b", "resume a", "resume b",
                     "expect a", "expect b", "quiesce a", "quiesce b", "reset a", "reset b"}));
  InspectNode node;
  (*devices)->inspect(node);
  EXPECT_EQ(node.child("a").get("trivial"), "true");
  EXPECT_EQ(node.child("b").get("trivial"), "true");
}

TEST_F(RootBusDevicesTest, SlotsThatCannotBeAreRefused) {
  EXPECT_EQ(make({trivial(3, "a"), trivial(3, "b")}).error().kind(), ErrorKind::kInternal);
  EXPECT_FALSE(make({trivial(0, "the host bridge's")}));
  EXPECT_FALSE(make({trivial(32, "past the bus")}));
  EXPECT_TRUE(make({}));
}

// One device may have several functions, each a place of its own.
TEST_F(RootBusDevicesTest, FunctionsOfOneDevice) {
  auto second = trivial(3, "b");
  second.function = 1;
  auto devices = make({second, trivial(3, "a"), trivial(4, "c")});
  ASSERT_TRUE(devices) << devices.error().to_string();
  PciTopology topology;
  ASSERT_TRUE((*devices)->add_to(topology));
  std::array<std::byte, 4> bytes{};
  topology.read({.bus = 0, .devfn = 3 * 8 + 1}, 0, bytes);
  EXPECT_EQ(load_le(bytes), std::uint64_t{'b'});
  EXPECT_EQ(read(topology, 3, 0), unsigned{'a'});
  auto past = trivial(3, "past the device");
  past.function = 8;
  EXPECT_FALSE(make({past}));
  EXPECT_FALSE(make({second, second}));
}

// Guests know disks by their slots: 0x10, 0x11, …
TEST_F(RootBusDevicesTest, DisksAreWhereTheyAlwaysWere) {
  std::string path = std::filesystem::temp_directory_path() / "gpuvm-disk-XXXXXX";
  const UniqueFd fd(::mkstemp(path.data()));
  ASSERT_GE(fd.get(), 0);
  std::filesystem::resize_file(path, 1_MiB);
  const auto files =
      open_disks({{.path = path, .read_only = true}, {.path = path, .read_only = true}}, 1);
  std::filesystem::remove(path);
  ASSERT_TRUE(files) << files.error().to_string();
  auto list = disk_devices(*files);
  list.push_back(trivial(0x18, "another"));
  auto devices = make(std::move(list));
  ASSERT_TRUE(devices) << devices.error().to_string();
  PciTopology topology;
  ASSERT_TRUE((*devices)->add_to(topology));
  EXPECT_EQ(topology.root_devices(), (std::vector<std::uint8_t>{0x10, 0x11, 0x18}));
  EXPECT_EQ(read(topology, 0x10, 0), 0x10421af4U);
  EXPECT_EQ(read(topology, 0x11, 0), 0x10421af4U);
  InspectNode node;
  (*devices)->inspect(node);
  EXPECT_EQ(node.child("disk-0").child("device").get("read_only"), "true");
}

// And network cards by theirs: 0x1b, 0x1c, …
TEST_F(RootBusDevicesTest, NetworksAreWhereTheyAlwaysWere) {
  Networks networks(2);
  for (std::size_t i = 0; i < networks.size(); ++i) {
    networks[i].name = fmt::format("net-{}", i);
    networks[i].mac = MacAddress::of_name("guest", i);
    networks[i].link =
        std::make_unique<StreamLink>(StreamLink::Options{.socket = UniqueFd(), .peer = "nobody"});
  }
  auto devices = make(network_devices(networks, {}));
  ASSERT_TRUE(devices) << devices.error().to_string();
  PciTopology topology;
  ASSERT_TRUE((*devices)->add_to(topology));
  EXPECT_EQ(topology.root_devices(), (std::vector<std::uint8_t>{0x1b, 0x1c}));
  EXPECT_EQ(read(topology, 0x1b, 0), 0x10411af4U);
  InspectNode node;
  (*devices)->inspect(node);
  EXPECT_EQ(node.child("net-1").child("device").get("mac"),
            MacAddress::of_name("guest", 1).to_string());
}

TEST(NetworkText, SaysWhereTheFramesGo) {
  const auto mac = MacAddress{{2, 0, 0, 0, 0, 1}};
  EXPECT_EQ(network_text(
                {.forward = {{.udp = false, .address = "", .host = 2222, .guest = 22}}, .mac = mac},
                "guest", 0),
            "user, TCP port 2222 to 22, mac 02:00:00:00:00:01");
  EXPECT_EQ(network_text({.forward = {{.udp = true, .address = "::1", .host = 53, .guest = 5353}},
                          .mac = mac},
                         "guest", 0),
            "user, UDP port ::1/53 to 5353, mac 02:00:00:00:00:01");
  EXPECT_EQ(
      network_text({.mode = NetMode::kTap, .tap = "vm0", .bridge = "br0", .mac = mac}, "guest", 0),
      "tap vm0, bridge br0, mac 02:00:00:00:00:01");
  EXPECT_EQ(network_text({.mode = NetMode::kTap}, "guest", 3),
            "tap, a new one, mac " + MacAddress::of_name("guest", 3).to_string());
}

}  // namespace
}  // namespace gpuvm::root_bus_devices_test
