// SPDX-License-Identifier: Apache-2.0
// Cards that an owner takes while its guest runs, over a made-up host.
#include "vmm/machine/owner/kept_cards.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::kept_cards_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kCard = "0000:41:00.0";

class KeptCardsTest : public testing::Test {
 protected:
  KeptCardsTest() {
    fakes_.host.file("/dev/kvm", "");
    fakes_.add(kCard, test::gt710_config(), 0, 0, [this](test::FakePhysicalDevice& device) {
      device.set_config(0x00, 0x56781234);  // in no row of the reset policy's table
      device.set_config(0x0c, is_broken_ ? 0x00020010 : 0x00800010);
      if (has_memory_) {
        device.add_bar(1, 2_MiB);  // prefetchable in gt710_config()
      }
    });
    create(PciScrub::kOff);
  }
  void create(PciScrub scrub) {
    auto openers = fakes_.openers();
    openers.sleep = [](std::chrono::milliseconds) {};
    cards_ = std::make_unique<KeptCards>(fakes_.host, std::move(openers), "the guest main",
                                         std::vector<Bdf>{bdf_of(kCard)}, scrub);
  }
  /// What became of the work.
  Status await() {
    for (;;) {
      const auto idle = cards_->is_idle(0);
      if (!idle) {
        return idle.error();
      }
      if (*idle) {
        return {};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  Status take() {
    TRY(cards_->take(0));
    return await();
  }
  Status give_back() {
    TRY(cards_->give_back(0));
    return await();
  }
  std::string dirty() const {
    const auto record = read_device_record(fakes_.host, bdf_of(kCard));
    return record ? record->dirty : "";
  }
  std::string driver() const { return fakes_.host.driver_of(kCard); }

  test::FakeDevices fakes_;
  bool is_broken_ = false;
  bool has_memory_ = false;
  std::unique_ptr<KeptCards> cards_;
};

TEST_F(KeptCardsTest, IsTakenHandedOutAndGivenBack) {
  EXPECT_TRUE(cards_->is_idle(0).value());
  const auto taken = take();
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(driver(), "vfio-pci");
  EXPECT_EQ(dirty(), "the guest main had it when gpuvm ended");
  EXPECT_EQ(fakes_.history.back(), "close vfio") << "only who gets the files has them open";
  EXPECT_THAT(cards_->functions(), ElementsAre(bdf_of(kCard)));
  EXPECT_NE(cards_->card_of(bdf_of(kCard)), nullptr);
  fakes_.history.clear();
  const auto back = give_back();
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_THAT(fakes_.history, Contains("open vfio")) << "for the reset that counts";
  EXPECT_EQ(driver(), "nouveau");
  EXPECT_THAT(recorded_devices(fakes_.host), IsEmpty());
  EXPECT_THAT(cards_->functions(), IsEmpty());
  EXPECT_EQ(cards_->card_of(bdf_of(kCard)), nullptr);
}

// A monitor that does not wait for its answer: the work has them. (The thread sanitizer sees who
// looks at them all the same.)
TEST_F(KeptCardsTest, NoFileIsLookedAtWhileItIsTaken) {
  ASSERT_TRUE(cards_->take(0));
  for (bool is_idle = false; !is_idle;) {
    EXPECT_FALSE(cards_->file(0, CardFileKind::kGroup, 0));
    EXPECT_FALSE(cards_->file(0, CardFileKind::kDevice, 0));
    const auto idle = cards_->is_idle(0);
    ASSERT_TRUE(idle) << idle.error().to_string();
    is_idle = *idle;
  }
  EXPECT_TRUE(cards_->file(0, CardFileKind::kGroup, 0));
}

TEST_F(KeptCardsTest, TheOwnerOverwritesWhatTheGuestLeft) {
  create(PciScrub::kVram);
  has_memory_ = true;
  const auto taken = take();
  ASSERT_TRUE(taken) << taken.error().to_string();
  const std::string record = fmt::format("/run/gpuvm/{}.state", kCard);
  EXPECT_THAT(fakes_.host.read(record).value(), HasSubstr("scrub=vram")) << "what a crash leaves";
  const auto back = give_back();
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_THAT(recorded_devices(fakes_.host), IsEmpty()) << "nothing is owed";
}

TEST_F(KeptCardsTest, ACardWithoutMemoryIsNotTakenToBeScrubbed) {
  create(PciScrub::kVram);
  EXPECT_FALSE(take());
  EXPECT_EQ(driver(), "nouveau");
}

TEST_F(KeptCardsTest, EachFileIsFetchedOnce) {
  EXPECT_FALSE(cards_->file(0, CardFileKind::kContainer, 0)) << "not yet";
  ASSERT_TRUE(take());
  EXPECT_EQ(cards_->file(0, CardFileKind::kContainer, 0)->value, 1U << 16 | 1U);
  EXPECT_EQ(cards_->file(0, CardFileKind::kGroup, 0)->value, test::FakeDevices::kGroup);
  EXPECT_EQ(cards_->file(0, CardFileKind::kDevice, 0)->value, test::FakeDevices::kGroup);
  EXPECT_EQ(cards_->file(0, CardFileKind::kConfig, 0)->value, 0x4100U);
  EXPECT_TRUE(cards_->file(0, CardFileKind::kResource, 0)->file);
  for (unsigned kind = 0; kind <= static_cast<unsigned>(CardFileKind::kResource); ++kind) {
    for (const std::uint32_t index : {0U, 1U, 0xffffffffU}) {
      const auto again = cards_->file(0, static_cast<CardFileKind>(kind), index);
      ASSERT_FALSE(again) << kind << " " << index;
      EXPECT_EQ(again.error().kind(), ErrorKind::kWrongState);
    }
  }
}

TEST_F(KeptCardsTest, OnlyWhatItsListHasAndOnce) {
  EXPECT_FALSE(cards_->take(1));
  EXPECT_FALSE(cards_->is_idle(1));
  EXPECT_FALSE(cards_->file(1, CardFileKind::kContainer, 0));
  EXPECT_EQ(cards_->give_back(0).error().kind(), ErrorKind::kWrongState) << "it is not taken";
  ASSERT_TRUE(cards_->take(0));
  EXPECT_EQ(cards_->take(0).error().kind(), ErrorKind::kWrongState);
  ASSERT_TRUE(await());
  EXPECT_EQ(cards_->take(0).error().kind(), ErrorKind::kWrongState);
}

TEST_F(KeptCardsTest, OneThatCannotBeOpenedGoesBackClean) {
  fakes_.is_opening_refused = true;
  const auto taken = take();
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().to_string(), HasSubstr("Cannot open"));
  EXPECT_EQ(driver(), "nouveau");
  EXPECT_EQ(dirty(), "");
  fakes_.is_opening_refused = false;
  EXPECT_TRUE(take()) << "later";
}

TEST_F(KeptCardsTest, OneWhoseFilesCannotBeHandedOnGoesBackClean) {
  fakes_.is_duplicate_refused = true;
  EXPECT_THAT(take().error().to_string(), HasSubstr("Too many open files"));
  EXPECT_EQ(driver(), "nouveau");
  EXPECT_EQ(dirty(), "");
}

// It was in a guest's hands, and is not fit for another.
TEST_F(KeptCardsTest, OneThatDoesNotComeBackIsGivenUp) {
  ASSERT_TRUE(take());
  is_broken_ = true;
  const auto back = give_back();
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_EQ(driver(), "vfio-pci");
  EXPECT_NE(dirty(), "");
  EXPECT_TRUE(cards_->is_idle(0).value()) << "told once";
  EXPECT_THAT(cards_->functions(), IsEmpty());
}

// A monitor has kept a file back, or a process that it has left. Nobody else would repair the card.
TEST_F(KeptCardsTest, OneThatIsStillOpenGoesBackWhenTheMonitorIsGone) {
  ASSERT_TRUE(take());
  fakes_.is_opening_refused = true;
  const auto back = give_back();
  ASSERT_FALSE(back);
  EXPECT_THAT(back.error().to_string(), HasSubstr("Cannot open"));
  EXPECT_EQ(driver(), "vfio-pci");
  EXPECT_NE(dirty(), "");
  EXPECT_THAT(cards_->functions(), ElementsAre(bdf_of(kCard))) << "it is the owner's still";
  EXPECT_EQ(cards_->take(0).error().kind(), ErrorKind::kWrongState);
  EXPECT_FALSE(cards_->file(0, CardFileKind::kContainer, 0)) << "its files are gone";
  ASSERT_TRUE(cards_->give_back(0));
  cards_->settle();
  fakes_.is_opening_refused = false;
  const auto all = cards_->give_back_all();
  EXPECT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(driver(), "nouveau");
  EXPECT_THAT(recorded_devices(fakes_.host), IsEmpty());
}

TEST_F(KeptCardsTest, AllGoesBackWhenTheMonitorIsGone) {
  ASSERT_TRUE(take());
  EXPECT_TRUE(cards_->give_back_all());
  EXPECT_EQ(driver(), "nouveau");
  EXPECT_TRUE(cards_->give_back_all()) << "nothing is left";
}

TEST_F(KeptCardsTest, AlsoWhatWasOnItsWay) {
  ASSERT_TRUE(cards_->take(0));
  EXPECT_TRUE(cards_->give_back_all());
  EXPECT_EQ(driver(), "nouveau");
  EXPECT_THAT(recorded_devices(fakes_.host), IsEmpty());
  ASSERT_TRUE(take());
  ASSERT_TRUE(cards_->give_back(0));
  EXPECT_TRUE(cards_->give_back_all());
  EXPECT_EQ(driver(), "nouveau");
  fakes_.is_opening_refused = true;
  ASSERT_TRUE(cards_->take(0));
  EXPECT_TRUE(cards_->give_back_all()) << "it had not come";
}

TEST_F(KeptCardsTest, ItsEndWaitsForTheWork) {
  ASSERT_TRUE(cards_->take(0));
  cards_.reset();
  EXPECT_EQ(driver(), "vfio-pci");
  EXPECT_NE(dirty(), "") << "for the next start, or gpuvm reset";
  EXPECT_THAT(fakes_.history, Not(IsEmpty()));
}

}  // namespace
}  // namespace gpuvm::kept_cards_test
