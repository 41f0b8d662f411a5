// SPDX-License-Identifier: Apache-2.0
// Port and MMIO exits: what guest code does reaches the buses with its size and value, and answers
// reach the guest's registers (Linux, Documentation/virt/kvm/api.rst, KVM_EXIT_IO and
// KVM_EXIT_MMIO).
#include "tests/kvm/kvm_fixture.hpp"

namespace gpuvm::test::exits_test {
namespace {

using Accesses = std::vector<std::string>;
using Reports = std::vector<std::uint32_t>;

class Exits : public KvmTest {
 protected:
  static constexpr std::uint32_t kPort = 0x300;
  void add_device() {
    ASSERT_TRUE(ports_.add({*PortRange::create(IoPort(kPort), 8), &device_}));
    ASSERT_TRUE(mmio_.add({*GuestRange::create(GuestAddress(kMmio), 0x100), &device_}));
  }
};

TEST_F(Exits, PortWritesOfEachSize) {
  add_device();
  GuestCode code;
  code.mov_eax(0x44332211).mov_edx(kPort);
  code.out_dx(1).out_dx(2).out_dx(4);
  code.mov_edx(kPort + 4).out_dx(1).finish();
  load(code);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(device_.accesses(), (Accesses{"write 0x0/1 0x11", "write 0x0/2 0x2211",
                                          "write 0x0/4 0x44332211", "write 0x4/1 0x11"}));
}

TEST_F(Exits, PortReadsOfEachSize) {
  add_device();
  device_.answer = 0xa4a3a2a1;
  GuestCode code;
  code.mov_edx(kPort);
  for (const unsigned size : {1U, 2U, 4U}) {
    code.mov_eax(0).in_dx(size).report_eax();
  }
  load(code.finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(device_.accesses(), (Accesses{"read 0x0/1", "read 0x0/2", "read 0x0/4"}));
  EXPECT_EQ(reports_.values(), (Reports{0xa1, 0xa2a1, 0xa4a3a2a1}));
}

// One exit may carry several elements: KVM_EXIT_IO's count.
TEST_F(Exits, StringOutputArrivesElementByElement) {
  add_device();
  const std::array text{std::byte{'g'}, std::byte{'p'}, std::byte{'u'}, std::byte{'v'}};
  put(0x7000, text);
  GuestCode code;
  code.raw({0xfc}).mov_edx(kPort).mov_esi(0x7000).mov_ecx(4).raw({0xf3, 0x6e});  // CLD, REP OUTSB
  code.mov_eax_ecx().report_eax().finish();
  load(code);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(device_.accesses(), (Accesses{"write 0x0/1 0x67", "write 0x0/1 0x70",
                                          "write 0x0/1 0x75", "write 0x0/1 0x76"}));
  EXPECT_EQ(reports_.values(), (Reports{0}));
}

TEST_F(Exits, StringInputFillsMemory) {
  add_device();
  device_.answer = 0xbeef;
  GuestCode code;
  code.raw({0xfc}).mov_edx(kPort).mov_edi(0x7000).mov_ecx(3).raw({0x66, 0xf3, 0x6d});  // REP INSW
  load(code.finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(load_le(ram().subspan(0x7000, 8)), 0x0000beefbeefbeefU);
}

TEST_F(Exits, MmioOfEachSize) {
  add_device();
  device_.answer = 0xb4b3b2b1;
  GuestCode code;
  code.mov_eax(0x44332211).store(kMmio, 1).store(kMmio + 2, 2).store(kMmio + 4, 4);
  for (const unsigned size : {1U, 2U, 4U}) {
    code.mov_eax(0).load(kMmio + size * 0x10, size).report_eax();
  }
  load(code.finish());
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(device_.accesses(),
            (Accesses{"write 0x0/1 0x11", "write 0x2/2 0x2211", "write 0x4/4 0x44332211",
                      "read 0x10/1", "read 0x20/2", "read 0x40/4"}));
  EXPECT_EQ(reports_.values(), (Reports{0xb1, 0xb2b1, 0xb4b3b2b1}));
}

TEST_F(Exits, MmioOfEightBytesInLongMode) {
  add_device();
  device_.answer = 0xc8c7c6c5c4c3c2c1;
  GuestCode code;
  code.mov_rax(0x8877665544332211).store_rax(kMmio + 8).load_rax(kMmio + 0x10);
  code.report_eax().shift_rax_right_32().report_eax().finish();
  load(code, Mode::kLong64);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(device_.accesses(), (Accesses{"write 0x8/8 0x8877665544332211", "read 0x10/8"}));
  EXPECT_EQ(reports_.values(), (Reports{0xc4c3c2c1, 0xc8c7c6c5}));
}

TEST_F(Exits, WhatNothingAnswersReadsAsOnes) {
  GuestCode code;
  code.mov_eax(0).mov_edx(kPort).in_dx(4).report_eax();
  code.mov_eax(0).in_dx(1).report_eax();
  code.mov_eax(0).load(kMmio, 4).report_eax();
  code.mov_eax(0).load(kMmio, 2).report_eax();
  code.store(kMmio, 4).out_dx(4).finish();
  load(code);
  const auto outcome = run();
  EXPECT_ENDED(outcome, VcpuEvent::kInterrupted);
  EXPECT_EQ(reports_.values(), (Reports{0xffffffff, 0xff, 0xffffffff, 0xffff}));
  EXPECT_EQ(ports_.unclaimed(), 3U);
  EXPECT_EQ(mmio_.unclaimed(), 3U);
}

// A request to a vCPU waits while it is in the guest, and one that idles stays there: whoever
// inspects must make none.
TEST_F(Exits, AVcpuThatIdlesInTheGuestCanBeInspected) {
  GuestCode code;
  code.report(1).raw({0xf4, 0xeb, 0xfd});  // HLT, and again
  load(code);
  start();
  ASSERT_TRUE(reports_.wait_for(1, kPatience));
  InspectNode node;
  auto inspected = std::async(std::launch::async, [&] { vcpu().inspect(node); });
  EXPECT_EQ(inspected.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  kick();
  wait();
  inspected.wait();
  EXPECT_NE(node.get("port_exits"), "");
}

}  // namespace
}  // namespace gpuvm::test::exits_test
