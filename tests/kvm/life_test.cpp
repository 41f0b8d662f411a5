// SPDX-License-Identifier: Apache-2.0
// How a vCPU's run ends, how a VM starts over, and what CPUID says in the guest.
#include "tests/kvm/kvm_fixture.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test {
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

/// Reports what CPUID says of leaves 0x40000000 (four registers) and 0x40000001 (EAX), and leaf 1's
/// ECX.
GuestCode hypervisor_reports() {
  GuestCode code;
  code.mov_eax(0x40000000).raw({0x0f, 0xa2}).report_eax().mov_eax_ebx().report_eax();
  code.mov_eax(0x40000000).raw({0x0f, 0xa2}).mov_eax_ecx().report_eax().mov_eax_edx().report_eax();
  code.mov_eax(0x40000001).raw({0x0f, 0xa2}).report_eax();
  code.mov_eax(1).raw({0x0f, 0xa2}).mov_eax_ecx().report_eax();
  return code;
}

// Where there is no leaf 0x40000000 an Intel processor answers with its last basic leaf and AMD's
// with zeroes (SDM volume 2, CPUID): neither is a signature.
TEST_F(Life, CpuidHidesTheHypervisor) {
  create_vm(1, {.hidden = true});
  load(hypervisor_reports().finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  const auto values = reports_.values();
  ASSERT_EQ(values.size(), 6U);
  EXPECT_NE(values[1], 0x4b4d564bU);
  EXPECT_NE(values[2], 0x564b4d56U);
  EXPECT_EQ(values[5] >> 31, 0U);
}

// NVIDIA's drivers look for a hypervisor's signature at every 0x100th leaf up to 0x40000f00 (open
// kernel modules, hypervisor.c).
TEST_F(Life, CpuidHasNoSignatureAtAnyOfTheLeavesThatDriversSearch) {
  create_vm(1, {.hidden = true});
  GuestCode code;
  for (std::uint32_t leaf = 0x40000000; leaf <= 0x40000f00; leaf += 0x100) {
    code.mov_eax(leaf).raw({0x0f, 0xa2}).mov_eax_ebx().report_eax();
  }
  load(code.finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  const auto values = reports_.values();
  ASSERT_EQ(values.size(), 16U);
  for (const auto value : values) {
    EXPECT_NE(value, 0x4b4d564bU);  // "KVMK"
    EXPECT_NE(value, 0x7263694dU);  // "Micr"
  }
}

TEST_F(Life, CpuidShowsHyperVWithTheIdAskedFor) {
  create_vm(1, {.hidden = true, .hyperv_vendor_id = "exactly12chr"});
  load(hypervisor_reports().finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  const auto values = reports_.values();
  ASSERT_EQ(values.size(), 6U);
  EXPECT_EQ(values[0], 0x40000005U);
  EXPECT_EQ(values[1], 0x63617865U);  // "exac"
  EXPECT_EQ(values[2], 0x31796c74U);  // "tly1"
  EXPECT_EQ(values[3], 0x72686332U);  // "2chr"
  EXPECT_EQ(values[4], 0x31237648U);  // "Hv#1"
  EXPECT_EQ(values[5] >> 31, 1U);
}

TEST_F(Life, CpuidShowsTheEnlightenmentsAskedFor) {
  const std::vector<std::string> names = {"time", "vapic"};
  create_vm(1, {.hyperv = names});
  GuestCode code;
  for (const std::uint32_t leaf : {0x40000000U, 0x40000003U, 0x40000004U, 0x40000100U}) {
    code.mov_eax(leaf).raw({0x0f, 0xa2}).report_eax().mov_eax(leaf).raw({0x0f, 0xa2});
    code.mov_eax_ebx().report_eax();
  }
  load(code.finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  const auto values = reports_.values();
  ASSERT_EQ(values.size(), 8U);
  EXPECT_EQ(values[1], 0x7263694dU);     // "Micr"
  EXPECT_EQ(values[2] & 0x272, 0x272U);  // time and TSC page, APIC, hypercall, index
  EXPECT_EQ(values[4] & 0x28, 0x28U);    // APIC by MSRs, relaxed
  EXPECT_EQ(values[7], 0x4b4d564bU) << "KVM's own leaves behind";
}

// Linux, Documentation/virt/kvm/x86/cpuid.rst: "KVMKVMKVM\0\0\0" in EBX, ECX, EDX.
TEST_F(Life, CpuidShowsTheHypervisorAndTheTopology) {
  create_vm(3);
  GuestCode code;
  code.mov_eax(0x40000000).raw({0x0f, 0xa2}).report_eax().mov_eax_ebx().report_eax();
  code.mov_eax_ecx().report_eax().mov_eax_edx().report_eax();
  code.mov_eax(1).raw({0x0f, 0xa2}).mov_eax_ebx().report_eax().mov_eax_ecx().report_eax().finish();
  load(code);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  const auto values = reports_.values();
  ASSERT_EQ(values.size(), 6U);
  EXPECT_GE(values[0], 0x40000001U);  // the last leaf of this range
  EXPECT_EQ(values[1], 0x4b4d564bU);
  EXPECT_EQ(values[2], 0x564b4d56U);
  EXPECT_EQ(values[3], 0x4dU);
  EXPECT_EQ(values[4] >> 16, 3U);  // APIC ID 0, three logical processors
  EXPECT_EQ(values[5] >> 31, 1U);  // hypervisor present
}

}  // namespace
}  // namespace gpuvm::test
