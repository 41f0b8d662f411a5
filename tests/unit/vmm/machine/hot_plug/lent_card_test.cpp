// SPDX-License-Identifier: Apache-2.0
// A card that the owner takes for a monitor, from attach to detach: both are objects of this
// process, over one fake host.
#include "vmm/machine/hot_plug/lent_card.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/vmm/machine/hot_plug/hot_plug_fixture.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/machine/owner/host_owner.hpp"

namespace gpuvm::lent_card_test {
namespace {

using test::kGpu;
using test::kUsb;
using test::kUsbId;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class LentCardTest : public test::HotPlugFixture {
 protected:
  LentCardTest() {
    is_confined_ = true;
    attachable_ = {bdf_of(kGpu), bdf_of(kUsb)};
    owner_ = std::make_unique<HostOwner>(fakes_.host, openers(), "main", attachable_);
    lender_ = owner_.get();
  }
  std::string driver_of(const std::string& bdf) const { return fakes_.host.driver_of(bdf); }
  std::string dirty(const std::string& bdf) const {
    const auto record = read_device_record(fakes_.host, bdf_of(bdf));
    return record ? record->dirty : "";
  }

  std::unique_ptr<HostOwner> owner_;
};

TEST_F(LentCardTest, ComesIsUsedAndGoesBackToItsDriver) {
  create();
  const auto came = plug_->attach(kUsb, wanted);
  ASSERT_TRUE(came) << came.error().to_string();
  switch_slot(1, true);
  EXPECT_EQ(read(1, 0, 0), kUsbId);
  EXPECT_EQ(driver_of(kUsb), "vfio-pci");
  EXPECT_EQ(dirty(kUsb), "the guest main had it when gpuvm ended");
  EXPECT_THAT(fakes_.history, Contains("close vfio")) << "the owner keeps nothing open";
  EXPECT_THAT(fakes_.history, Contains("open lent"));
  EXPECT_THAT(fakes_.history, Contains(HasSubstr("lent map 0x0"))) << "memory is the monitor's";
  EXPECT_THAT(fakes_.history, Not(Contains(HasSubstr("vfio map"))));
  switch_slot(1, false);
  fakes_.history.clear();
  const auto gone = plug_->take_out(kUsb);
  ASSERT_TRUE(gone) << gone.error().to_string();
  const auto at = [this](const char* what) {
    return std::find(fakes_.history.begin(), fakes_.history.end(), what);
  };
  EXPECT_LT(at("close lent"), at("open vfio")) << "closed before the owner opens it anew";
  EXPECT_EQ(driver_of(kUsb), "nouveau");
  EXPECT_EQ(dirty(kUsb), "");
  EXPECT_THAT(steps_, ElementsAre("claimed", "verified", "mapped", "shown", "announced",
                                  "withdrawn", "gone"));
}

// It would be read when the card comes, by a thread that has no right to any file of the host's.
TEST_F(LentCardTest, NoCopyOfItsRomIsReadFromTheHostsFiles) {
  const auto found = find_attachable(fakes_.host, attachable_);
  ASSERT_TRUE(found) << found.error().to_string();
  ASSERT_EQ(found->size(), 2U);
  for (const AttachableCard& card : *found) {
    ASSERT_FALSE(card.functions.empty());
    for (const HostFunction& function : card.functions) {
      EXPECT_FALSE(function.view.rom.fallback) << function.name();
    }
  }
}

TEST_F(LentCardTest, ComesAgain) {
  create();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(plug_->attach(kUsb, wanted)) << i;
    ASSERT_TRUE(plug_->take_out(kUsb)) << i;
    EXPECT_EQ(driver_of(kUsb), "nouveau") << i;
  }
}

TEST_F(LentCardTest, ResetsOfThisProcessAreOfNoWeight) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  ASSERT_TRUE(plug_->reset(ResetReason::kStop));
  EXPECT_NE(dirty(kUsb), "") << "the mark is the owner's";
}

TEST_F(LentCardTest, WhatTheOwnerCannotTakeStaysWhereItIs) {
  create();
  fakes_.is_opening_refused = true;
  EXPECT_THAT(text_of(plug_->attach(kUsb, wanted)), HasSubstr("Cannot open"));
  EXPECT_FALSE(plug_->has_cards());
  fakes_.is_opening_refused = false;
  EXPECT_EQ(driver_of(kUsb), "nouveau");
  EXPECT_EQ(dirty(kUsb), "");
  EXPECT_TRUE(plug_->attach(kUsb, wanted)) << "it can come later";
}

TEST_F(LentCardTest, OneThatDoesNotFitIsGivenBack) {
  large_bar_ = 2_GiB;
  create();
  EXPECT_THAT(text_of(plug_->attach(kUsb, wanted)), HasSubstr("machine.reserve is too small"));
  EXPECT_EQ(driver_of(kUsb), "nouveau");
  EXPECT_EQ(dirty(kUsb), "");
}

TEST_F(LentCardTest, ServersAndOthersAreNotLent) {
  attachable_ = {bdf_of(kUsb)};
  create();
  EXPECT_THAT(text_of(plug_->attach(kGpu, wanted)), HasSubstr("machine.attachable"));
  EXPECT_THAT(text_of(plug_->attach("/run/server", wanted)), HasSubstr("machine.attachable"));
}

// What the monitor had is gone with it.
TEST_F(LentCardTest, TheOwnerGivesBackWhatAMonitorLeaves) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  pci_.reset();
  plug_.reset();
  const auto back = owner_->give_back(0);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(driver_of(kUsb), "nouveau");
  EXPECT_EQ(dirty(kUsb), "");
}

TEST_F(LentCardTest, AFailedResetIsToldToTheOwner) {
  create();
  ASSERT_TRUE(plug_->attach(kUsb, wanted));
  ASSERT_TRUE(owner_->mark_failed(bdf_of(kUsb), "no answer"));
  EXPECT_EQ(dirty(kUsb), "no answer");
}

}  // namespace
}  // namespace gpuvm::lent_card_test
