// SPDX-License-Identifier: Apache-2.0
// Machine with a device: the fake GPU, which a process serves. Memory is mapped for it while the
// guest runs, and it may leave at any time.
#include <sys/stat.h>

#include "tests/fake_gpu/fake_gpu_process.hpp"
#include "tests/unit/vmm/machine/run/machine_fixture.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm::machine_devices_test {
namespace {

using testing::ElementsAre;

class MachineWithDevice : public test::MachineTest {
 protected:
  void add_gpu(const std::vector<std::string>& arguments = {}) {
    gpu_ = std::make_unique<fake_gpu::FakeGpuProcess>(arguments);
    config_.pci.push_back({.socket = gpu_->socket()});
  }
  /// The guest enables the function behind its first root port as a bus master, once.
  void let_guest_enable_bus_master() {
    guest_ = [this](PortBus&, MmioBus& mmio) -> std::optional<VcpuEvent> {
      if (!std::exchange(is_enabled_, true)) {
        const GuestAddress command = layout::kEcamBase + 0x100004;  // bus 1, PCI 3.0, 6.2.2
        begins_.set_value();
        mmio.write(command, std::array{std::byte{6}, std::byte{0}});
        std::array<std::byte, 2> value{};
        mmio.read(command, value);
        returns_.set_value(std::to_integer<unsigned>(value[0]));
      }
      std::this_thread::yield();
      return std::nullopt;
    };
  }
  static bool is_ready(std::future<unsigned>& future) {
    return future.wait_for(std::chrono::seconds(8)) == std::future_status::ready;
  }

  /// Bytes of guest memory that have pages; it is the only memory file of this process so called.
  static std::uint64_t bytes_with_pages() {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
      struct stat info {};
      const auto target = std::filesystem::read_symlink(entry.path(), error).string();
      if (target.find("gpuvm-guest-memory") != std::string::npos &&
          ::stat(entry.path().c_str(), &info) == 0) {
        return static_cast<std::uint64_t>(info.st_blocks) * 512;
      }
    }
    return 0;
  }

  std::unique_ptr<fake_gpu::FakeGpuProcess> gpu_;
  bool is_enabled_ = false;         ///< the vCPU's
  std::promise<void> begins_;       ///< the guest's write
  std::promise<unsigned> returns_;  ///< its end: COMMAND then
};

TEST_F(MachineWithDevice, LivesWithIt) {
  add_gpu();
  let_guest_enable_bus_master();
  Machine& machine = run();
  EXPECT_EQ(returns_.get_future().get(), 6U);
  ASSERT_TRUE(machine.pause());
  ASSERT_TRUE(machine.resume());
  ASSERT_TRUE(machine.reboot(wanted));
  EXPECT_TRUE(machine.stop());
  EXPECT_TRUE(failures_.empty());
}

// The reset, too, is still under way then, and waits most of its time.
TEST_F(MachineWithDevice, MemoryGetsItsPagesWhileTheVmIsMade) {
  add_gpu();
  std::uint64_t bytes = 0;
  before_vm_ = [this, &bytes] {
    // By threads of idle priority: on a busy host they have their time when nobody else wants it.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (bytes < config_.machine.memory && std::chrono::steady_clock::now() < end) {
      bytes = bytes_with_pages();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  Machine& machine = run();
  EXPECT_EQ(bytes, config_.machine.memory);
  EXPECT_TRUE(machine.stop());
  EXPECT_TRUE(failures_.empty());
}

// A vCPU that waits for its bus mastering must not hold a stop until all memory is mapped.
TEST_F(MachineWithDevice, AStopLetsGoAVcpuThatWaitsForMemory) {
  add_gpu({"--fault", "map-waits"});
  let_guest_enable_bus_master();
  auto returns = returns_.get_future();
  Machine& machine = run();
  begins_.get_future().wait();
  auto stopped = std::async(std::launch::async, [&machine] { return machine.stop(); });
  ASSERT_TRUE(is_ready(returns)) << "the vCPU waits for the mapping in progress";
  EXPECT_EQ(returns.get() & 4U, 0U) << "a bus master without memory";
  gpu_->send_signal(SIGUSR2);
  const auto status = stopped.get();
  EXPECT_TRUE(status) << status.error().to_string();
  EXPECT_TRUE(failures_.empty());
}

// A large guest's first bus mastering would be held for longer than its soft lockup detector bears.
TEST_F(MachineWithDevice, AGuestWhoseMemoryIsPinnedBeforeItsStartDoesNotRunMeanwhile) {
  config_.machine.pin_memory = PinMemory::kBeforeStart;
  add_gpu({"--fault", "map-waits"});
  Machine& machine = make();
  ASSERT_TRUE(machine.build(wanted));
  std::promise<void> begins;
  auto started = std::async(std::launch::async, [&machine, &begins] {
    // Asked first when the guest is loaded, and again by whom the breaking off lets go.
    return machine.power_on([&begins, calls = std::make_shared<int>(0)] {
      if ((*calls)++ == 0) {
        begins.set_value();
        return false;
      }
      return true;
    });
  });
  begins.get_future().wait();
  machine.break_off();
  const auto status = started.get();
  ASSERT_FALSE(status) << "the guest runs";
  EXPECT_EQ(status.error().kind(), ErrorKind::kCancelled);
  gpu_->send_signal(SIGUSR2);
  EXPECT_TRUE(machine.stop());
  EXPECT_EQ(console_.bytes(), 0U);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(MachineWithDevice, AGuestWhoseMemoryIsPinnedBeforeItsStartRunsThen) {
  config_.machine.pin_memory = PinMemory::kBeforeStart;
  add_gpu();
  let_guest_enable_bus_master();
  Machine& machine = run();
  EXPECT_EQ(returns_.get_future().get(), 6U);
  EXPECT_TRUE(machine.stop());
  EXPECT_TRUE(failures_.empty());
}

// The pause waits for that vCPU; who breaks off ends it.
TEST_F(MachineWithDevice, BreakingOffEndsAPauseThatWaitsForMemory) {
  add_gpu({"--fault", "map-waits"});
  let_guest_enable_bus_master();
  Machine& machine = run();
  begins_.get_future().wait();
  auto paused = std::async(std::launch::async, [&machine] { return machine.pause(); });
  EXPECT_EQ(paused.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  InspectNode node;
  machine.inspect(node);
  EXPECT_EQ(node.get("state"), "running");
  machine.break_off();
  EXPECT_TRUE(paused.get());
  gpu_->send_signal(SIGUSR2);
  EXPECT_TRUE(machine.stop());
}

// Memory that was broken off is no failure of a reboot that nobody wants any more.
TEST_F(MachineWithDevice, ARebootIsBrokenOffWhileMemoryIsMapped) {
  add_gpu({"--fault", "map-waits"});
  Machine& machine = run();
  auto rebooted = std::async(std::launch::async, [&machine] { return machine.reboot(unwanted); });
  machine.break_off();
  EXPECT_TRUE(rebooted.get());
  EXPECT_EQ(machine.state(), LifecycleState::kRebooting);
  gpu_->send_signal(SIGUSR2);
  EXPECT_TRUE(machine.stop());
}

TEST_F(MachineWithDevice, ThatHasLeftBeforeThePowerOnEndsUnsafe) {
  add_gpu();
  Machine& machine = make();
  ASSERT_TRUE(machine.build(wanted));
  gpu_->kill();
  (void)machine.power_on(wanted);  // whether the guest still comes up does not matter
  const auto stopped = machine.stop();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kUnsafeDevice);
}

TEST_F(MachineWithDevice, ThatHasLeftBeforeARebootFailsIt) {
  add_gpu();
  Machine& machine = run();
  gpu_->kill();
  const auto rebooted = machine.reboot(wanted);
  ASSERT_FALSE(rebooted);
  EXPECT_EQ(machine.state(), LifecycleState::kFailed);
  EXPECT_FALSE(machine.stop());
}

TEST_F(MachineWithDevice, ThatHasLeftWhileTheGuestIsPausedEndsUnsafe) {
  add_gpu();
  Machine& machine = run();
  ASSERT_TRUE(machine.pause());
  gpu_->kill();
  const auto stopped = machine.stop();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kUnsafeDevice);
}

TEST_F(MachineWithDevice, ThatIsNotThereFailsTheBuilding) {
  add_gpu();
  gpu_->kill();
  Machine& machine = make();
  const auto built = machine.build(wanted);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().kind(), ErrorKind::kHost);
  EXPECT_TRUE(machine.stop());
}

// The reset lasts as long as the device does not answer.
TEST_F(MachineWithDevice, InspectAnswersDuringItsReset) {
  add_gpu({"--fault", "not-ready=300"});
  Machine& machine = run();
  auto rebooted = std::async(std::launch::async, [&machine] { return machine.reboot(wanted); });
  std::vector<std::string> states;
  std::size_t without_reset = 0;
  while (rebooted.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    InspectNode node;
    machine.inspect(node);
    states.emplace_back(node.get("state"));
    without_reset += node.to_json().find("\"reset\":") == std::string::npos ? 1U : 0U;
  }
  EXPECT_TRUE(rebooted.get());
  EXPECT_GT(std::count(states.begin(), states.end(), "rebooting"), 1);
  EXPECT_GT(without_reset, 1U) << "no look fell into the reset";
  EXPECT_TRUE(machine.stop());
}

}  // namespace
}  // namespace gpuvm::machine_devices_test
