// SPDX-License-Identifier: Apache-2.0
// What a monitor gets of a card that its owner takes for it, and what becomes of one that it
// cannot have.
#include "vmm/owner/card_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/owner/noting_owner.hpp"

namespace gpuvm::card_files_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class CardFilesTest : public testing::Test {
 protected:
  CardFilesTest() {
    owner_.values[{CardFileKind::kContainer, 0}] = 1U << 16 | 2U;
    owner_.values[{CardFileKind::kGroup, 0}] = 17;
    for (const std::uint32_t i : {0U, 1U}) {
      owner_.values[{CardFileKind::kDevice, i}] = 17;
      owner_.values[{CardFileKind::kConfig, i}] = 0x14100 + i;
    }
  }
  Result<CardFiles> take() {
    return take_card_from(owner_, 3, [this](std::chrono::milliseconds time) { slept_ += time; });
  }

  test::NotingOwner owner_;
  std::chrono::milliseconds slept_{0};
};

TEST_F(CardFilesTest, AnAddressIsANumberAndBack) {
  for (const char* const text : {"0000:00:00.0", "0001:41:00.1", "ffff:ff:1f.7"}) {
    const auto bdf = Bdf::parse(text).value();
    EXPECT_EQ(card_address(card_address(bdf)), bdf);
  }
  EXPECT_EQ(card_address(Bdf::parse("0001:41:1f.7").value()), 0x141ffU);
}

TEST_F(CardFilesTest, WaitsForTheOwnerAndFetchesEachFileOnce) {
  owner_.busy = 3;
  const auto files = take();
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ(slept_, std::chrono::milliseconds(200)) << "between three questions";
  EXPECT_TRUE(files->container);
  ASSERT_EQ(files->groups.size(), 1U);
  EXPECT_EQ(files->groups[0].number, 17U);
  ASSERT_EQ(files->functions.size(), 2U);
  EXPECT_EQ(files->functions[1].bdf.to_string(), "0001:41:00.1");
  EXPECT_EQ(files->functions[1].group, 17U);
  EXPECT_TRUE(files->functions[1].device && files->functions[1].config);
  EXPECT_THAT(owner_.notes, ElementsAre("take card 3", "ask card 3", "ask card 3", "ask card 3",
                                        "card 3 file 0.0", "card 3 file 1.0", "card 3 file 2.0",
                                        "card 3 file 3.0", "card 3 file 4.0", "card 3 file 2.1",
                                        "card 3 file 3.1", "card 3 file 4.1"));
}

TEST_F(CardFilesTest, OneThatIsNotTakenIsNotGivenBack) {
  owner_.refused.emplace("ask card 3", Error(ErrorKind::kUnsafeDevice, "It hangs"));
  const auto files = take();
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(owner_.notes, ElementsAre("take card 3", "ask card 3"));
}

TEST_F(CardFilesTest, OneWhoseFilesDoNotComeIsGivenBack) {
  owner_.refused.emplace("card 3 file 4.1", Error(ErrorKind::kHost, "No such file"));
  const auto files = take();
  ASSERT_FALSE(files);
  EXPECT_THAT(files.error().message(), HasSubstr("No such file"));
  EXPECT_THAT(owner_.notes, Contains("give back card 3"));
  EXPECT_EQ(owner_.notes.back(), "ask card 3");
}

TEST_F(CardFilesTest, NoCardHasSoManyFunctions) {
  for (const std::uint32_t count : {0U, 1U << 16, 2U, 1U << 16 | 9U, 3U << 16 | 2U}) {
    owner_.values[{CardFileKind::kContainer, 0}] = count;
    const auto files = take();
    ASSERT_FALSE(files) << count;
    EXPECT_EQ(files.error().kind(), ErrorKind::kInternal);
  }
}

}  // namespace
}  // namespace gpuvm::card_files_test
