// SPDX-License-Identifier: Apache-2.0
// Functions, root ports and listeners that leave while vCPUs access them: what left is not called
// any more. vCPUs are threads that read and write through the ECAM until they are told to end.
#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <thread>

#include "devices/pci/ecam.hpp"
#include "devices/pci/pci_topology.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::leaving_test {
namespace {

constexpr std::uint64_t kBehind = 1 << 20;
constexpr std::uint64_t kRoot = 0x28 << 12;
constexpr unsigned kRounds = 200;

/// Counts its accesses, and says so when it is accessed after its end, where no sanitizer does.
class Leaver : public PciFunction {
 public:
  explicit Leaver(std::atomic<unsigned>& wrong) : wrong_(wrong) {}
  ~Leaver() override { alive_ = 0; }
  std::string_view name() const override { return "leaver"; }
  std::uint32_t config_read(std::uint16_t) override {
    use();
    return 7;
  }
  void config_write(std::uint16_t, std::uint32_t, std::uint32_t) override { use(); }
  /// Until a vCPU has been here.
  void wait_for_access() { accesses_.wait(0); }

 private:
  static constexpr unsigned kAlive = 0x6c697665;
  void use() {
    accesses_.fetch_add(1);
    accesses_.notify_one();
    std::this_thread::yield();  // more time to be destroyed in
    wrong_ += alive_ == kAlive ? 0U : 1U;
  }
  std::atomic<unsigned>& wrong_;
  std::atomic<unsigned> accesses_{0};
  volatile unsigned alive_ = kAlive;
};

class Leaving : public testing::Test {
 protected:
  Leaving() {
    EXPECT_TRUE(topology_.add_root_port(*port_));
    EXPECT_TRUE(port_->set_power_on_setup({.secondary = 1, .subordinate = 1}));
  }
  ~Leaving() override {
    done_ = true;
    for (auto& vcpu : vcpus_) {
      vcpu.join();
    }
    EXPECT_EQ(wrong_, 0U);
  }
  static std::unique_ptr<RootPort> make_port(std::uint8_t device) {
    return RootPort::create({.name = "port", .device = device}).value();
  }
  void access(std::uint64_t offset) {
    std::array<std::byte, 4> bytes{};
    static_cast<void>(ecam_.read(offset, bytes));
    const auto value = load_le(bytes);
    wrong_ += value == 7 || value == 0xffffffff ? 0U : 1U;
    static_cast<void>(ecam_.write(offset, bytes));
  }
  void start_vcpus(std::uint64_t offset) {
    for (int i = 0; i < 3; ++i) {
      vcpus_.emplace_back([this, offset] {
        while (!done_) {
          access(offset);
        }
      });
    }
  }

  std::atomic<unsigned> wrong_{0};
  std::atomic<bool> done_{false};
  std::unique_ptr<RootPort> port_ = make_port(2);
  PciTopology topology_;
  Ecam ecam_{topology_, 2};
  std::vector<std::thread> vcpus_;
};

TEST_F(Leaving, FunctionBehindAPort) {
  start_vcpus(kBehind);
  for (unsigned i = 0; i < kRounds; ++i) {
    auto function = std::make_unique<Leaver>(wrong_);
    ASSERT_TRUE(port_->attach(0, *function));
    function->wait_for_access();
    ASSERT_TRUE(port_->detach(0));
  }
}

TEST_F(Leaving, FunctionOnTheRootBus) {
  start_vcpus(kRoot);
  for (unsigned i = 0; i < kRounds; ++i) {
    auto function = std::make_unique<Leaver>(wrong_);
    ASSERT_TRUE(topology_.add(0x28, *function));
    function->wait_for_access();
    InspectNode node;
    topology_.inspect(node);
    EXPECT_EQ(node.get("00:05.0"), "leaver");
    ASSERT_TRUE(topology_.remove(0x28));
  }
  EXPECT_FALSE(topology_.remove(0x28)) << "nothing is there";
}

TEST_F(Leaving, RootPortWithItsFunction) {
  ASSERT_TRUE(topology_.remove(0x10));
  start_vcpus(kBehind);
  for (unsigned i = 0; i < kRounds; ++i) {
    auto function = std::make_unique<Leaver>(wrong_);
    auto port = make_port(3);
    ASSERT_TRUE(port->attach(0, *function));
    ASSERT_TRUE(port->set_power_on_setup({.secondary = 1, .subordinate = 1}));
    ASSERT_TRUE(topology_.add_root_port(*port));
    function->wait_for_access();
    ASSERT_TRUE(topology_.remove(0x18));
    port.reset();
  }
}

class Listener : public SecondaryBusListener {
 public:
  explicit Listener(std::atomic<unsigned>& wrong) : wrong_(wrong) {}
  ~Listener() override { alive_ = false; }
  void secondary_bus_reset() override {
    called.count_down();
    std::this_thread::yield();
    wrong_ += alive_ ? 0U : 1U;
  }
  std::latch called{1};

 private:
  std::atomic<unsigned>& wrong_;
  volatile bool alive_ = true;
};

// A reset that the guest asked for is on its way while its listener leaves.
TEST_F(Leaving, ListenerOfBusResets) {
  for (unsigned i = 0; i < kRounds; ++i) {
    auto listener = std::make_unique<Listener>(wrong_);
    ASSERT_TRUE(port_->set_listener(listener.get()));
    std::thread vcpu([this] {
      port_->config_write(0x3c, 0x00400000, 0xffff0000);
      port_->config_write(0x3c, 0, 0xffff0000);
    });
    listener->called.wait();
    EXPECT_TRUE(port_->set_listener(nullptr));
    listener.reset();
    vcpu.join();
  }
}

}  // namespace
}  // namespace gpuvm::leaving_test
