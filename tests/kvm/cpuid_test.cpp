// SPDX-License-Identifier: Apache-2.0
// What CPUID says to a guest that executes it: the hypervisor's leaves by each configuration of
// [cpu], and the topology. Sources: Linux, Documentation/virt/kvm/x86/cpuid.rst; Microsoft's
// Hypervisor Top Level Functional Specification (TLFS) 6.0b, 2.4.
#include <map>

#include "tests/kvm/kvm_fixture.hpp"

namespace gpuvm::test::cpuid_test {
namespace {

using Registers = std::array<std::uint32_t, 4>;  ///< EAX, EBX, ECX, EDX
using Names = std::vector<std::string>;

constexpr std::uint32_t kKvmk = 0x4b4d564b;    // "KVMK", the signature's first four
constexpr std::uint32_t kVmkv = 0x564b4d56;    // "VMKV"
constexpr std::uint32_t kMicr = 0x7263694d;    // "Micr"
constexpr std::uint32_t kHyperV = 0x31237648;  // "Hv#1"
constexpr std::uint32_t kClockSource2 = 1 << 3;
/// A leaf that no hypervisor has: the processor's own answer to what is not there.
constexpr std::uint32_t kNowhere = 0x40001234;

class CpuidInGuest : public KvmTest {
 protected:
  /// Executes CPUID with ECX 0 for each leaf; `said` has the answers. The guest has ended.
  Outcome ask(const std::vector<std::uint32_t>& leaves);
  std::uint32_t eax(std::uint32_t leaf) { return said.at(leaf)[0]; }
  std::uint32_t ebx(std::uint32_t leaf) { return said.at(leaf)[1]; }
  std::uint32_t ecx(std::uint32_t leaf) { return said.at(leaf)[2]; }
  std::uint32_t edx(std::uint32_t leaf) { return said.at(leaf)[3]; }
  /// Leaf 1, ECX bit 31.
  bool says_hypervisor() { return ecx(1) >> 31 == 1; }

  std::map<std::uint32_t, Registers> said;
};

KvmTest::Outcome CpuidInGuest::ask(const std::vector<std::uint32_t>& leaves) {
  GuestCode code;
  for (const std::uint32_t leaf : leaves) {
    code.mov_ecx(0).mov_eax(leaf).raw({0x0f, 0xa2}).report_eax();
    code.mov_eax_ebx().report_eax().mov_eax_ecx().report_eax().mov_eax_edx().report_eax();
  }
  load(code.finish());
  auto outcome = run();
  const auto values = reports_.values();
  for (std::size_t i = 0; i < leaves.size() && 4 * i + 3 < values.size(); ++i) {
    said[leaves[i]] = {values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]};
  }
  return outcome;
}

TEST_F(CpuidInGuest, PlainIsKvm) {
  const auto outcome = ask({1, 0x40000000, 0x40000001, 0x40000100, kNowhere});
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(says_hypervisor());
  EXPECT_GE(eax(0x40000000), 0x40000001U) << "the last leaf of this range";
  EXPECT_EQ(ebx(0x40000000), kKvmk);
  EXPECT_EQ(ecx(0x40000000), kVmkv);
  EXPECT_EQ(edx(0x40000000), 0x4dU);
  EXPECT_NE(eax(0x40000001) & kClockSource2, 0U) << "KVM's clock";
  EXPECT_EQ(said.at(0x40000100), said.at(kNowhere)) << "there is no second hypervisor";
}

// Where there is no leaf 0x40000000 an Intel processor answers with its last basic leaf and AMD's
// with zeroes (SDM volume 2, CPUID).
TEST_F(CpuidInGuest, HiddenIsAsOnAMachine) {
  create_vm(1, {.hidden = true});
  const std::vector<std::uint32_t> leaves = {0x40000000, 0x40000001, 0x40000002, 0x40000003,
                                             0x40000004, 0x40000005, 0x40000100, 0x40000101};
  auto all = leaves;
  all.insert(all.end(), {1, kNowhere});
  const auto outcome = ask(all);
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_FALSE(says_hypervisor());
  for (const std::uint32_t leaf : leaves) {
    EXPECT_EQ(said.at(leaf), said.at(kNowhere)) << std::hex << leaf;
  }
}

// NVIDIA's drivers look for a hypervisor's signature at every 0x100th leaf up to 0x40000f00 (open
// kernel modules, hypervisor.c).
TEST_F(CpuidInGuest, HiddenHasNoSignatureAtAnyOfTheLeavesThatDriversSearch) {
  create_vm(1, {.hidden = true});
  std::vector<std::uint32_t> leaves;
  for (std::uint32_t leaf = 0x40000000; leaf <= 0x40000f00; leaf += 0x100) {
    leaves.push_back(leaf);
  }
  const auto outcome = ask(leaves);
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  ASSERT_EQ(said.size(), leaves.size());
  for (const auto& [leaf, registers] : said) {
    EXPECT_NE(registers[1], kKvmk) << std::hex << leaf;
    EXPECT_NE(registers[1], kMicr) << std::hex << leaf;
  }
}

// TLFS 2.4.1 to 2.4.6: the least that a hypervisor of this kind shows.
TEST_F(CpuidInGuest, HyperVIdStandsBeforeKvmsLeaves) {
  create_vm(1, {.hyperv_vendor_id = "GPUVM"});
  const auto outcome =
      ask({1, 0x40000000, 0x40000001, 0x40000003, 0x40000004, 0x40000005, 0x40000100, 0x40000101});
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(says_hypervisor());
  EXPECT_EQ(said.at(0x40000000), (Registers{0x40000005, 0x56555047, 0x4d, 0}));  // "GPUVM"
  EXPECT_EQ(eax(0x40000001), kHyperV);
  EXPECT_EQ(eax(0x40000003), 0x60U) << "hypercall and VP index registers alone";
  EXPECT_EQ(edx(0x40000003), 0U);
  EXPECT_EQ(eax(0x40000004), 0x20U) << "relaxed timing";
  EXPECT_EQ(ebx(0x40000004), 0xffffffffU) << "never notify of spinning";
  EXPECT_EQ(eax(0x40000005), 64U) << "processors";
  EXPECT_GE(eax(0x40000100), 0x40000101U) << "the last leaf of KVM's range";
  EXPECT_EQ(ebx(0x40000100), kKvmk);
  EXPECT_EQ(ecx(0x40000100), kVmkv);
  EXPECT_NE(eax(0x40000101) & kClockSource2, 0U) << "KVM's features, moved";
}

TEST_F(CpuidInGuest, HyperVIdOfAHiddenKvmStandsAlone) {
  create_vm(1, {.hidden = true, .hyperv_vendor_id = "exactly12chr"});
  const auto outcome = ask({1, 0x40000000, 0x40000001, 0x40000100, 0x40000101, kNowhere});
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(says_hypervisor());
  EXPECT_EQ(said.at(0x40000000), (Registers{0x40000005, 0x63617865, 0x31796c74, 0x72686332}));
  EXPECT_EQ(eax(0x40000001), kHyperV);
  EXPECT_EQ(said.at(0x40000100), said.at(kNowhere));
  EXPECT_EQ(said.at(0x40000101), said.at(kNowhere));
}

// TLFS 2.4.4 and 2.4.5.
TEST_F(CpuidInGuest, EnlightenmentsAskedForAndNoOthers) {
  const Names names = {"time", "vapic", "frequencies", "spinlocks"};
  create_vm(1, {.hyperv = names});
  const auto outcome = ask({1, 0x40000000, 0x40000001, 0x40000003, 0x40000004, 0x40000100});
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_TRUE(says_hypervisor());
  EXPECT_EQ(said.at(0x40000000), (Registers{0x40000005, kMicr, 0x666f736f, 0x76482074}));
  EXPECT_EQ(eax(0x40000001), kHyperV);
  EXPECT_EQ(eax(0x40000003), 0xa72U) << "counter, APIC, hypercall, index, TSC page, frequencies";
  EXPECT_EQ(edx(0x40000003), 0x100U) << "frequencies";
  EXPECT_EQ(eax(0x40000004), 0x28U) << "APIC by MSRs, relaxed timing";
  EXPECT_EQ(ebx(0x40000004), 0x1fffU) << "retries of a spinlock";
  EXPECT_EQ(ebx(0x40000100), kKvmk) << "KVM's own leaves behind";
}

TEST_F(CpuidInGuest, TopologyOfOnePackage) {
  create_vm(3);
  const auto outcome = ask({1, 0xb});
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(ebx(1) >> 16, 3U) << "APIC ID 0, three logical processors";
  EXPECT_EQ(edx(0xb), 0U);
}

TEST_F(CpuidInGuest, TopologyOfTwoPackages) {
  create_vm(CpuTopology::of_packages({{1}, {0, 2}}));
  const auto outcome = ask({1, 0xb});
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(ebx(1) >> 16, 2U) << "APIC ID 0, two logical processors in its package";
  EXPECT_EQ(edx(0xb), 0U);
}

}  // namespace
}  // namespace gpuvm::test::cpuid_test
