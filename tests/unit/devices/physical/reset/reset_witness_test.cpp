// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_witness.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::reset_witness_test {
namespace {

class ResetWitnessTest : public testing::Test {
 protected:
  ResetWitnessTest() {
    usb_.config[0x09] = std::byte{0x30};  // class 0c0330: xHCI
    usb_.set16(0x0a, 0x0c03);
    usb_.registers[0] = 0x20;  // CAPLENGTH
  }
  std::optional<ResetWitness> find() {
    return ResetWitness::find(usb_, read_function_state(usb_).value());
  }
  History history_;
  FakeResetDevice usb_{history_, "0000:02:00.0"};
};

TEST_F(ResetWitnessTest, RegisterThatWasResetIsCleared) {
  auto witness = find();
  ASSERT_TRUE(witness);
  EXPECT_EQ(witness->name(), "DNCTRL");
  EXPECT_TRUE(*witness->mark());
  EXPECT_NE(usb_.registers[0x34], 0u);  // CAPLENGTH + 14h, xHCI 5.4.4
  usb_.registers[0x34] = 0;
  usb_.set16(0x04, 0);
  EXPECT_TRUE(*witness->is_cleared());
  EXPECT_EQ(usb_.get16(0x04), 0) << "decode is as it was";
}

TEST_F(ResetWitnessTest, RegisterThatKeptItsValueIsTold) {
  auto witness = find();
  ASSERT_TRUE(*witness->mark());
  EXPECT_FALSE(*witness->is_cleared());
}

TEST_F(ResetWitnessTest, NoneForAnUnknownClass) {
  usb_.set16(0x0a, 0x0300);
  EXPECT_FALSE(find());
}

}  // namespace
}  // namespace gpuvm::reset_witness_test
