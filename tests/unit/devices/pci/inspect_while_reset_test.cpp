// SPDX-License-Identifier: Apache-2.0
// The functions of the root bus are inspected while they are reset and accessed, as may happen at
// any time: for the thread sanitizer, and that nothing ends in a deadlock.
#include <gtest/gtest.h>

#include <functional>
#include <latch>
#include <thread>

#include "devices/pci/bar_space.hpp"
#include "devices/pci/config_ports.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/lpc_bridge.hpp"
#include "tests/unit/devices/pci/fake_function.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::inspect_while_reset_test {
namespace {

constexpr unsigned kRounds = 100;

void at_once(std::vector<std::function<void()>> works) {
  std::latch start(static_cast<std::ptrdiff_t>(works.size()));
  std::vector<std::thread> threads;
  for (const auto& work : works) {
    threads.emplace_back([&start, &work] {
      start.arrive_and_wait();
      for (unsigned i = 0; i < kRounds; ++i) {
        work();
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
}

TEST(InspectWhileReset, RootBus) {
  auto host_bridge = HostBridge::create(*GuestRange::create(GuestAddress(0xe0000000), 256_MiB));
  std::atomic<unsigned> moves{0};
  host_bridge->set_ecam_listener([&] { ++moves; });
  LpcBridge lpc(IoPort(0x600));
  auto port = RootPort::create({.name = "port", .device = 2}).value();
  ASSERT_TRUE(port->set_power_on_setup({.secondary = 1, .subordinate = 1}));
  PciTopology topology;
  ASSERT_TRUE(topology.add(0, *host_bridge));
  ASSERT_TRUE(topology.add(LpcBridge::kDevfn, lpc));
  ASSERT_TRUE(topology.add_root_port(*port));
  Ecam ecam(topology, 2);
  ConfigPorts ports(topology, nullptr);
  std::string shown;
  at_once({[&] {
             for (std::uint64_t at = 0; at < 32 * 0x8000; at += 0x8000) {
               std::array<std::byte, 8> bytes{};
               static_cast<void>(ecam.read(at + 0x18, bytes));
               static_cast<void>(ecam.write(at + 0x60, bytes));
             }
           },
           [&] {
             for (Resettable* device :
                  std::initializer_list<Resettable*>{host_bridge.get(), &lpc, port.get(), &ports}) {
               device->reset();
             }
           },
           [&] {
             InspectNode node;
             for (const Inspectable* device : std::initializer_list<const Inspectable*>{
                      host_bridge.get(), &topology, &ecam, &ports}) {
               device->inspect(node);
             }
             shown = node.to_json();
           },
           [&] {
             FakeFunction behind;
             EXPECT_TRUE(port->attach(0, behind));
             EXPECT_TRUE(port->detach(0));
           }});
  EXPECT_GT(shown.size(), 2U);
  EXPECT_GT(moves, 0U);
}

/// A window that keeps BarSpace's contract: one call at a time.
struct Window : BarWindow {
  std::string_view name() const override { return "window"; }
  BarSpaceKind kind() const override { return BarSpaceKind::kMemory; }
  std::uint64_t size() const override { return 1_MiB; }
  Status map(std::uint64_t at) override {
    at_ = at;
    return {};
  }
  void unmap() override { at_.reset(); }
  std::optional<std::uint64_t> at_;
};

TEST(InspectWhileReset, BarSpace) {
  BarSpace space({});
  Window windows[2];
  const auto place = [&space](Window& window, std::uint64_t at) {
    const BarSpace::Placement placement{&window, at};
    space.update({&placement, 1});
    BarWindow* const gone = &window;
    space.remove({&gone, 1});
  };
  at_once(
      {[&] { place(windows[0], 0xe0000000); }, [&] { place(windows[1], 0xe0000000); },
       [&] { space.set_forbidden("ECAM", GuestRange::create(GuestAddress(0xe0000000), 1_MiB)); },
       [&] {
         InspectNode node;
         space.inspect(node);
       }});
  EXPECT_FALSE(windows[0].at_);
  EXPECT_FALSE(windows[1].at_);
}

}  // namespace
}  // namespace gpuvm::inspect_while_reset_test
