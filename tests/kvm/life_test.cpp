// SPDX-License-Identifier: Apache-2.0
// How a vCPU's run ends, and how a VM starts over.
#include <fmt/format.h>

#include <array>

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

// Whoever looks at a guest that has nothing to do must not wait until it has.
TEST_F(Life, AHaltedGuestCanBeLookedAt) {
  GuestCode code;
  load(code.report(1).raw({0xf4}).spin());
  start();
  EXPECT_TRUE(reports_.wait_for(1, kPatience));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it halts
  auto look = std::async(std::launch::async, [this] {
    InspectNode node;
    vm().inspect(node);
    return node.to_json();
  });
  EXPECT_EQ(look.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  kick();
  const auto outcome = wait();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_NE(look.get().find("port_exits"), std::string::npos);
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

/// How a boot CPU sends interrupts between processors (SDM volume 3, 11.6 and 11.12).
enum class Apic { kXapic, kX2apic };

GuestCode& write_msr(GuestCode& code, std::uint32_t index, std::uint32_t low, std::uint32_t high) {
  return code.mov_ecx(index).mov_edx(high).mov_eax(low).raw({0x0f, 0x30});
}

// SDM volume 3, 9.4.4: INIT and SIPI, by the interrupt command register, start a processor in real
// mode at the page that SIPI names. KVM sends neither from a local APIC that software has not
// enabled (spurious-interrupt vector register, bit 8), which hardware would (11.4.7.2).
GuestCode start_processor(Apic apic, std::uint32_t apic_id, std::uint32_t page) {
  const std::array<std::uint32_t, 2> commands{0x4500, 0x4600 | page};
  GuestCode code;
  if (apic == Apic::kXapic) {
    code.store_value(0xfee000f0, 0x1ff);
    for (const std::uint32_t command : commands) {
      code.store_value(0xfee00310, apic_id << 24).store_value(0xfee00300, command);
    }
    return code;
  }
  write_msr(code, 0x1b, 0xfee00d00, 0);  // IA32_APIC_BASE: boot CPU, x2APIC, on
  write_msr(code, 0x80f, 0x1ff, 0);
  for (const std::uint32_t command : commands) {
    write_msr(code, 0x830, command, apic_id);
  }
  return code;
}

struct Start {
  Apic apic;
  std::uint32_t last;  ///< the vCPU that is started, of as many and one more
};

class StartedProcessor : public KvmTest, public testing::WithParamInterface<Start> {};

// 254: as many as machine.cpus can be.
TEST_P(StartedProcessor, Runs) {
  constexpr std::uint32_t kPage = 6;
  constexpr std::uint32_t kFromFirst = 1;
  constexpr std::uint32_t kFromLast = 0x12345678;
  const auto [apic, last] = GetParam();
  create_vm(last + 1);
  GuestCode at_page;  // 16-bit code, hence the prefixes: MOV EAX; OUT
  at_page.raw({0x66, 0xb8}).imm32(kFromLast).raw({0x66, 0xe7, kReportPort}).finish();
  put(kPage << 12, at_page.bytes());
  GuestCode first = start_processor(apic, last, kPage);
  load(first.report(kFromFirst).finish());
  const auto sent = run();
  EXPECT_ENDED(sent, VcpuEvent::kInterrupted);
  start(last);
  const auto started = wait();
  EXPECT_ENDED(started, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{kFromFirst, kFromLast}));
}

INSTANTIATE_TEST_SUITE_P(Life, StartedProcessor,
                         testing::Values(Start{Apic::kXapic, 1}, Start{Apic::kXapic, 254},
                                         Start{Apic::kX2apic, 1}, Start{Apic::kX2apic, 254}),
                         [](const auto& test) {
                           return fmt::format("{}{}",
                                              test.param.apic == Apic::kXapic ? "Xapic" : "X2apic",
                                              test.param.last);
                         });

}  // namespace
}  // namespace gpuvm::test::life_test
