// SPDX-License-Identifier: Apache-2.0
// Memory slots under a running guest: memory without exits while mapped, MMIO when not.
#include "tests/kvm/kvm_fixture.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::slots_test {
namespace {

using Accesses = std::vector<std::string>;
using Reports = std::vector<std::uint32_t>;

class Slots : public KvmTest {
 protected:
  void SetUp() override {
    KvmTest::SetUp();
    auto page = MappedRegion::create({.size = 4 * kPageSize});
    ASSERT_TRUE(page);
    pages_ = std::move(page).value();
  }
  Result<SlotId> map(std::uint64_t at, SlotAccess access = SlotAccess::kReadWrite,
                     std::size_t pages = 1) {
    return vm().slots().map(GuestAddress(at), pages_.bytes().first(pages * kPageSize), access);
  }

  MappedRegion pages_;
};

TEST_F(Slots, MappedMemoryCausesNoExit) {
  ASSERT_TRUE(map(kMmio));
  ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), kPageSize), &device_}));
  store_le(pages_.bytes().first(4), 0x12345678);
  GuestCode code;
  code.load(kMmio, 4).report_eax().store_value(kMmio + 8, 0xcafe).finish();
  load(code);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{0x12345678}));
  EXPECT_EQ(load_le(pages_.bytes().subspan(8, 4)), 0xcafeU);
  EXPECT_TRUE(device_.accesses().empty());
}

TEST_F(Slots, UnmappingUnderARunningGuestTurnsItsReadsIntoMmio) {
  const auto slot = map(kMmio);
  ASSERT_TRUE(slot);
  ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), kPageSize), &device_}));
  device_.answer = 0x5555;
  GuestCode code;
  code.report(1);
  code.load(kMmio, 4).raw({0x3d}).imm32(0x5555).raw({0x75, 0xf4});  // CMP EAX, JNE to the load
  code.report(2).finish();
  load(code);
  start();
  if (reports_.wait_for(1, kPatience)) {
    EXPECT_TRUE(device_.accesses().empty());
    vm().slots().unmap(*slot);
  }
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1, 2}));
  EXPECT_EQ(device_.accesses(), (Accesses{"read 0x0/4"}));
}

TEST_F(Slots, MappingUnderARunningGuestEndsItsExits) {
  ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), kPageSize), &device_}));
  store_le(pages_.bytes().first(4), 0x5555);
  GuestCode code;
  code.report(1);
  code.load(kMmio, 4).raw({0x3d}).imm32(0x5555).raw({0x75, 0xf4});
  code.report(2).finish();
  load(code);
  start();
  if (reports_.wait_for(1, kPatience)) {
    EXPECT_TRUE(map(kMmio));
  }
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1, 2}));
}

TEST_F(Slots, WritesToAReadOnlySlotExit) {
  ASSERT_TRUE(map(kMmio, SlotAccess::kReadOnly));
  ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), kPageSize), &device_}));
  store_le(pages_.bytes().first(4), 0x12345678);
  GuestCode code;
  code.store_value(kMmio, 0xbad).mov_eax(0).load(kMmio, 4).report_eax().finish();
  load(code);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(device_.accesses(), (Accesses{"write 0x0/4 0xbad"}));
  EXPECT_EQ(reports_.values(), (Reports{0x12345678}));
}

TEST_F(Slots, OverlapAndBadAlignmentAreRefused) {
  ASSERT_TRUE(map(kMmio, SlotAccess::kReadWrite, 2));
  for (const std::uint64_t at : {std::uint64_t{kMmio}, kMmio + kPageSize, kMmio - kPageSize}) {
    const auto status = map(at, SlotAccess::kReadWrite, 2);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kInternal);
  }
  EXPECT_FALSE(map(kMmio + 0x10800));
  EXPECT_FALSE(map(~std::uint64_t{0} - kPageSize + 1, SlotAccess::kReadWrite, 2));
  EXPECT_EQ(vm().slots().count(), 2U);  // with the guest's RAM
}

TEST_F(Slots, NumbersAreUsedAgain) {
  const auto first = map(kMmio);
  const auto second = map(kMmio + kPageSize);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  vm().slots().unmap(*first);
  const auto third = map(kMmio + 2 * kPageSize);
  ASSERT_TRUE(third);
  EXPECT_EQ(*third, *first);
  EXPECT_TRUE(map(kMmio));  // the place is free, too
  vm().slots().unmap(99);   // unknown: nothing happens
  EXPECT_EQ(vm().slots().count(), 4U);
}

}  // namespace
}  // namespace gpuvm::test::slots_test
