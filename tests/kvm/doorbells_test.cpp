// SPDX-License-Identifier: Apache-2.0
// Doorbells under a running guest: a write signals an eventfd and causes no exit to user space.
#include "tests/kvm/kvm_fixture.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::doorbells_test {
namespace {

using Accesses = std::vector<std::string>;

class DoorbellTest : public KvmTest {
 protected:
  void SetUp() override {
    KvmTest::SetUp();
    auto event = EventFd::create();
    ASSERT_TRUE(event);
    event_.emplace(std::move(event).value());
    ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), kPageSize), &device_}));
  }
  Status connect(std::uint64_t at, unsigned size = 2) {
    return vm().doorbells().connect(GuestAddress(at), size, event_->fd());
  }

  std::optional<EventFd> event_;
};

TEST_F(DoorbellTest, AWriteOfItsSizeSignalsAndDoesNotExit) {
  ASSERT_TRUE(connect(kMmio + 8));
  GuestCode code;
  load(code.mov_eax(0x1234).store(kMmio + 8, 2).finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(event_->drain());
  EXPECT_TRUE(device_.accesses().empty());
}

TEST_F(DoorbellTest, OtherAccessesReachTheDevice) {
  ASSERT_TRUE(connect(kMmio + 8));
  GuestCode code;
  load(code.mov_eax(0x1234).store(kMmio + 8, 4).store(kMmio + 10, 2).load(kMmio + 8, 2).finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_FALSE(event_->drain());
  EXPECT_EQ(device_.accesses(),
            (Accesses{"write 0x8/4 0x1234", "write 0xa/2 0x1234", "read 0x8/2"}));
}

TEST_F(DoorbellTest, ADisconnectedOneExitsAgain) {
  ASSERT_TRUE(connect(kMmio + 8));
  vm().doorbells().disconnect(GuestAddress(kMmio + 8));
  vm().doorbells().disconnect(GuestAddress(kMmio + 8));  // not there: nothing happens
  GuestCode code;
  load(code.mov_eax(1).store(kMmio + 8, 2).finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_FALSE(event_->drain());
  EXPECT_EQ(device_.accesses(), (Accesses{"write 0x8/2 0x1"}));
  EXPECT_TRUE(connect(kMmio + 8));  // the place is free
}

TEST_F(DoorbellTest, TwoAtOnePlaceAndOddSizesAreRefused) {
  ASSERT_TRUE(connect(kMmio + 8));
  for (const auto& status : {connect(kMmio + 8), connect(kMmio + 16, 3)}) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kInternal);
  }
}

TEST_F(DoorbellTest, ARebuiltVmHasThem) {
  ASSERT_TRUE(connect(kMmio + 8));
  ASSERT_TRUE(vm().rebuild());
  GuestCode code;
  load(code.mov_eax(1).store(kMmio + 8, 2).finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(event_->drain());
  EXPECT_TRUE(device_.accesses().empty());
}

}  // namespace
}  // namespace gpuvm::test::doorbells_test
