// SPDX-License-Identifier: Apache-2.0
// How a vCPU's run ends, and how a VM starts over.
#include "tests/kvm/kvm_fixture.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::life_test {
namespace {

using Reports = std::vector<std::uint32_t>;

class Life : public KvmTest {};

TEST_F(Life, KickEndsARunningGuest) {
  GuestCode code;
  load(code.report(1).spin());
  start();
  if (reports_.wait_for(1, kPatience)) {
    kick();
  }
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1}));
}

TEST_F(Life, KickThatComesBeforeTheRunCounts) {
  GuestCode code;
  load(code.spin());
  vcpu().kick();
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
}

TEST_F(Life, KickEndsAHaltedGuest) {
  GuestCode code;
  load(code.report(1).raw({0xf4}).spin());
  start();
  if (reports_.wait_for(1, kPatience)) {
    kick();
  }
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
}

// Intel SDM volume 3, 8.4.1: an application processor waits for INIT and SIPI.
TEST_F(Life, KickEndsAProcessorThatWasNeverStarted) {
  create_vm(2);
  GuestCode code;
  load(code.report(1).spin());
  start(1);
  kick();
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(reports_.values().empty());
}

// SDM volume 3, 6.15, double fault: a fault without any handler shuts the processor down.
TEST_F(Life, TripleFaultIsAShutdown) {
  GuestCode code;
  load(code.report(1).raw({0x0f, 0x0b}));  // UD2, and no gate is present
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kShutdown);
  EXPECT_EQ(reports_.values(), (Reports{1}));
}

// SDM volume 3, table 9-1: after power-on CS:IP is f000:fff0 with base ffff0000, CR0 is 60000010.
TEST_F(Life, RebuiltVmKeepsItsMemoryAndStartsAtTheResetVector) {
  auto rom = MappedRegion::create({.size = kPageSize});
  ASSERT_TRUE(rom);
  ASSERT_TRUE(vm().slots().map(GuestAddress(0xfffff000), rom->bytes(), SlotAccess::kReadOnly));
  GuestCode at_reset;  // 16-bit code, hence the prefixes: MOV EAX, CR0; OUT
  at_reset.raw({0x0f, 0x20, 0xc0, 0x66, 0xe7, kReportPort}).finish();
  std::copy(at_reset.bytes().begin(), at_reset.bytes().end(), rom->bytes().begin() + 0xff0);
  GuestCode code;
  load(code.store_value(0x7000, 0x1234).report(1).finish());
  const auto first = run();
  EXPECT_ENDED(first, VcpuEvent::kInterrupted);
  const auto slots = vm().slots().count();
  ASSERT_TRUE(vm().rebuild());
  EXPECT_EQ(vm().slots().count(), slots);
  const auto second = run();
  EXPECT_ENDED(second, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{1, 0x60000010}));
  EXPECT_EQ(load_le(ram().subspan(0x7000, 4)), 0x1234U);
}

}  // namespace
}  // namespace gpuvm::test::life_test
