// SPDX-License-Identifier: Apache-2.0
// A vCPU that is paused and goes on, again and again, in the middle of its accesses.
#include <atomic>

#include "tests/kvm/kvm_fixture.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::pause_test {
namespace {

constexpr std::uint32_t kCounter = 0x7000;
constexpr int kPauses = 100;

/// Hands out numbers and takes them back: each once, in order.
class Echo : public IoHandler {
 public:
  std::string_view name() const override { return "echo"; }
  IoStatus read(std::uint64_t, std::span<std::byte> out) override {
    is_right_ = is_right_ && last_taken_ == last_given_;
    store_le(out, ++last_given_);
    return note();
  }
  IoStatus write(std::uint64_t, std::span<const std::byte> in) override {
    const auto value = static_cast<std::uint32_t>(load_le(in));
    is_right_ = is_right_ && value == last_taken_ + 1;
    last_taken_ = value;
    return note();
  }
  bool is_right() const { return is_right_; }
  std::uint32_t last_given() const { return last_given_; }
  std::uint32_t last_taken() const { return last_taken_; }
  std::uint64_t accesses() const { return accesses_; }

  std::function<void()> hook;  ///< on the vCPU's thread, in an access

 private:
  IoStatus note() {
    ++accesses_;
    if (hook) {
      hook();
    }
    return IoStatus::kOk;
  }
  std::atomic<bool> is_right_{true};
  std::atomic<std::uint32_t> last_given_{0};
  std::atomic<std::uint32_t> last_taken_{0};
  std::atomic<std::uint64_t> accesses_{0};
};

class Pause : public KvmTest {
 protected:
  void SetUp() override {
    KvmTest::SetUp();
    ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), 8), &echo_}));
  }
  std::uint32_t counter() {
    return static_cast<std::uint32_t>(load_le(ram().subspan(kCounter, 4)));
  }
  /// Waits for the next access of the guest.
  void wait_for_access() {
    const auto before = echo_.accesses();
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (echo_.accesses() == before && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    ASSERT_NE(echo_.accesses(), before) << "the guest does nothing";
  }
  Status go_on() {
    vcpu().clear_kick();
    TRY(vcpu().tell_of_pause());
    start();
    return {};
  }

  Echo echo_;
};

// It counts in ECX, in memory and in a register of a device.
TEST_F(Pause, MemoryRestsAndNoWriteIsLost) {
  GuestCode code;
  code.mov_ecx(0).raw({0x41}).mov_eax_ecx().store(kCounter, 4).store(kMmio, 4).raw({0xeb, 0xf1});
  load(code);
  start();
  for (int i = 0; i < kPauses; ++i) {
    wait_for_access();
    kick();
    const auto outcome = wait();
    EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
    const auto rested = counter();
    const auto accesses = echo_.accesses();
    EXPECT_TRUE(echo_.last_taken() == rested || echo_.last_taken() + 1 == rested);
    std::this_thread::yield();
    EXPECT_EQ(counter(), rested);
    EXPECT_EQ(echo_.accesses(), accesses);
    const auto told = go_on();
    ASSERT_TRUE(told) << told.error().to_string();
  }
  wait_for_access();
  kick();
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(echo_.is_right()) << "a write was lost or came twice";
  EXPECT_GE(echo_.last_taken(), static_cast<std::uint32_t>(kPauses));
}

// The pause comes while the device answers a read: what it answered must reach the guest.
TEST_F(Pause, AReadInProgressIsFinished) {
  GuestCode code;
  load(code.load(kMmio, 4).store(kMmio + 4, 4).raw({0xeb, 0xf4}));
  echo_.hook = [this] { vcpu().kick(); };  // at every access
  start();
  for (int i = 0; i < kPauses; ++i) {
    const auto outcome = wait();
    EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
    EXPECT_EQ(echo_.accesses(), static_cast<std::uint64_t>(i) + 1);
    ASSERT_TRUE(go_on());
  }
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(echo_.is_right()) << "what was read did not come back";
  EXPECT_GE(echo_.last_given(), static_cast<std::uint32_t>(kPauses / 2));
}

// Halted: it is woken by nothing but its interrupt, before and after.
TEST_F(Pause, AHaltedGuestPausesAndStaysHalted) {
  GuestCode code;
  load(code.report(1).raw({0xf4}).report(2).spin());
  start();
  ASSERT_TRUE(reports_.wait_for(1, kPatience));
  for (int i = 0; i < kPauses; ++i) {
    kick();
    const auto outcome = wait();
    EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
    ASSERT_TRUE(go_on());
  }
  kick();
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), std::vector<std::uint32_t>{1});
}

}  // namespace
}  // namespace gpuvm::test::pause_test
