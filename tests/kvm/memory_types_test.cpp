// SPDX-License-Identifier: Apache-2.0
// IA32_MTRR_DEF_TYPE (Intel SDM volume 3, 12.11.2.1): bit 11 switches the MTRRs on, bits 7:0 are
// the default type, 6 is write-back. Its value at power-on is 0.
#include "tests/kvm/kvm_fixture.hpp"

namespace gpuvm::test::memory_types_test {
namespace {

constexpr std::uint32_t kDefaultType = 0x2ff;
constexpr std::uint64_t kOnAndWriteBack = 0x806;

class MemoryTypes : public KvmTest {
 protected:
  void expect_on_every_vcpu(std::uint64_t value) {
    for (const auto& each : vm().vcpus()) {
      const auto read = each->read_msr(kDefaultType);
      ASSERT_TRUE(read) << read.error().to_string();
      EXPECT_EQ(*read, value) << "vCPU " << each->index();
    }
  }
};

TEST_F(MemoryTypes, AreLeftToAFirmwareThatSetsThem) {
  create_vm(3);
  expect_on_every_vcpu(0);
}

// Linux compares them: "mtrr: your CPUs had inconsistent MTRRdefType settings".
TEST_F(MemoryTypes, AreOnOnEveryProcessorAtPowerOnAndAfterAReboot) {
  enable_memory_types_ = true;
  create_vm(3);
  expect_on_every_vcpu(kOnAndWriteBack);
  ASSERT_TRUE(vm().rebuild());
  expect_on_every_vcpu(kOnAndWriteBack);
}

TEST_F(MemoryTypes, AreWhatTheGuestReads) {
  enable_memory_types_ = true;
  create_vm();
  GuestCode code;  // RDMSR
  load(code.mov_ecx(kDefaultType).raw({0x0f, 0x32}).report_eax().finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (std::vector<std::uint32_t>{kOnAndWriteBack}));
}

}  // namespace
}  // namespace gpuvm::test::memory_types_test
