// SPDX-License-Identifier: Apache-2.0
// What is against each card of a made-up host.
#include "vmm/cards/survey.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/unit/vmm/cards/cards_fixture.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::survey_test {
namespace {

using cards_fixture::guest;
using cards_fixture::kFirst;
using cards_fixture::kSecond;
using cards_fixture::kThird;
using cards_fixture::naming;
using cards_fixture::wanting;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class SurveyTest : public testing::Test {
 protected:
  SurveyTest() {
    host_.add_card(kFirst, 1);
    host_.add_card(kSecond, 2, "0x2206");
  }
  std::vector<CardWish> look(const std::vector<PciConfig>& sections,
                             std::span<const WaitingGuest> ahead = {}) {
    auto wishes = survey_cards(host_, guest("main", sections), Askers::kMatch, ahead);
    EXPECT_TRUE(wishes) << wishes.error().to_string();
    return wishes ? std::move(wishes).value() : std::vector<CardWish>();
  }
  CardFact first(const PciConfig& section = wanting("any-gpu")) {
    return look({section}).at(0).cards.at(0);
  }
  void attribute(const std::string& bdf, const std::string& name, const std::string& text) {
    host_.file("/sys/bus/pci/devices/" + bdf + "/" + name, text);
  }
  cards_fixture::CardHost host_;
};

TEST_F(SurveyTest, FindsCardsByAddressWithAllTheirFunctions) {
  host_.add_device("0000:00:01.0", "0x060400", 9, "pcieport");
  host_.add_device("0000:00:02.0", "0x020000", 8, "e1000e");
  const auto wishes = look({wanting("any-gpu"), wanting("10de:2206"), wanting("class:0302")});
  ASSERT_EQ(wishes.size(), 3U);
  ASSERT_EQ(wishes[0].cards.size(), 2U);
  EXPECT_EQ(wishes[0].cards[0].card, bdf_of(kFirst));
  EXPECT_EQ(wishes[0].cards[0].state, CardState::kFree) << wishes[0].cards[0].reason;
  EXPECT_THAT(wishes[0].cards[0].functions, ElementsAre(bdf_of(kFirst), bdf_of("0000:01:00.1")));
  ASSERT_EQ(wishes[1].cards.size(), 1U);
  EXPECT_EQ(wishes[1].cards[0].card, bdf_of(kSecond));
  EXPECT_TRUE(wishes[2].cards.empty());
  EXPECT_EQ(wishes[1].name, "pci.1 (guest.toml:3:1), match = 10de:2206");
}

TEST_F(SurveyTest, SlotIsOneCardHoweverManyFunctionsMatch) {
  const auto cards = look({wanting("10de:*")}).at(0).cards;
  ASSERT_EQ(cards.size(), 2U) << "not also the sound of each";
  EXPECT_EQ(cards[0].identity, bdf_of(kFirst));
  auto section = wanting("10de:*");
  section.functions = {1};
  EXPECT_EQ(look({section}).at(0).cards.at(0).card, bdf_of("0000:01:00.1"));
  section.functions = {5};
  EXPECT_TRUE(look({section}).at(0).cards.empty());
}

TEST_F(SurveyTest, VirtualFunctionsAreCardsOfTheirOwn) {
  for (const std::string vf : {"0000:01:00.2", "0000:01:00.3"}) {
    host_.add_device(vf, "0x030200", 20, "");
    host_.link("/sys/bus/pci/devices/" + vf + "/physfn", "../" + kFirst);
  }
  const auto cards = look({wanting("class:0302")}).at(0).cards;
  ASSERT_EQ(cards.size(), 2U);
  EXPECT_EQ(cards[1].identity, bdf_of("0000:01:00.3"));
  EXPECT_THAT(cards[1].functions, ElementsAre(bdf_of("0000:01:00.3")));
}

TEST_F(SurveyTest, TakenCardIsBusyAndItsOwnerNamed) {
  const auto claim = DeviceClaim::take(host_, bdf_of("0000:01:00.1"), "the guest a");
  ASSERT_TRUE(claim);
  const auto fact = first();
  EXPECT_EQ(fact.state, CardState::kBusy);
  EXPECT_EQ(fact.reason, fmt::format("taken by gpuvm {} (the guest a)", ::getpid()));
}

TEST_F(SurveyTest, RecordWithoutAnOwnerIsNobodys) {
  {
    EXPECT_TRUE(DeviceClaim::take(host_, bdf_of(kFirst), "the guest a")->mark_dirty("a crash", ""));
  }
  EXPECT_EQ(first().state, CardState::kFree) << "its pid lives, but has nothing to do with it";
}

TEST_F(SurveyTest, OnlyAFailedResetMakesADirtyCardUnfit) {
  {
    auto claim = DeviceClaim::take(host_, bdf_of("0000:01:00.1"), "the guest a");
    ASSERT_TRUE(claim->mark_dirty("it did not come back", "", DirtCause::kFailedReset));
  }
  const auto fact = first();
  EXPECT_EQ(fact.state, CardState::kUnfit);
  EXPECT_EQ(fact.reason,
            "its last reset failed (it did not come back): `gpuvm reset 0000:01:00.1` tries again");
  EXPECT_TRUE(survey_cards(host_, guest("m", {naming(kFirst)}), Askers::kAll, {}))
      << "who names it has it repaired";
}

TEST_F(SurveyTest, CardThatOthersWaitForIsTheirs) {
  const std::vector<WaitingGuest> ahead{
      {.number = 1, .owner = "the guest b", .pid = 77, .wants = {bdf_of(kFirst)}}};
  const auto cards = look({wanting("any-gpu")}, ahead).at(0).cards;
  EXPECT_EQ(cards.at(0).state, CardState::kBusy);
  EXPECT_EQ(cards.at(0).reason, "awaited by the guest b (gpuvm, pid 77), which came first");
  EXPECT_EQ(cards.at(1).state, CardState::kFree);
}

TEST_F(SurveyTest, CardOfAnotherSectionIsNone) {
  const auto cards = look({naming(kFirst), wanting("any-gpu")}).at(0).cards;
  EXPECT_EQ(cards.at(0).state, CardState::kUnfit);
  EXPECT_EQ(cards.at(0).reason, "named by another section of this configuration");
  EXPECT_EQ(cards.at(1).state, CardState::kFree);
}

TEST_F(SurveyTest, HostsUsesKeepACard) {
  host_.directory("/sys/bus/pci/devices/" + kFirst + "/net/eth0");
  attribute(kFirst, "net/eth0/operstate", "up\n");
  const auto fact = first();
  EXPECT_EQ(fact.state, CardState::kBusy) << "it may end";
  EXPECT_THAT(fact.reason,
              StartsWith("in use by the host (network interface eth0 is up): stop that use"));
}

TEST_F(SurveyTest, BootScreenIsLeftToTheHostUnlessVfioHasIt) {
  attribute(kFirst, "boot_vga", "1\n");
  EXPECT_EQ(first().state, CardState::kUnfit);
  EXPECT_THAT(first().reason, HasSubstr("boot_vga"));
  host_.attach(kFirst, "vfio-pci");
  EXPECT_EQ(first().state, CardState::kFree) << first().reason;
  host_.attach(kFirst, "nouveau");
  EXPECT_TRUE(survey_cards(host_, guest("m", {naming(kFirst)}), Askers::kAll, {}))
      << "who names it means it";
}

TEST_F(SurveyTest, GroupMustBeViable) {
  host_.add_device("0000:05:00.0", "0x020000", 1, "e1000e");
  EXPECT_EQ(first().state, CardState::kBusy);
  EXPECT_THAT(first().reason, HasSubstr("IOMMU group 1 cannot go to the guest"));
}

TEST_F(SurveyTest, CardThatDoesNotAnswerIsUnfit) {
  attribute(kFirst, "config", std::string(64, '\xff'));
  EXPECT_EQ(first().state, CardState::kUnfit);
  EXPECT_THAT(first().reason, AllOf(HasSubstr("does not answer"), HasSubstr("gpuvm reset")));
}

TEST_F(SurveyTest, OtherKeysMustFitTheCard) {
  auto section = wanting("any-gpu");
  section.place.text = "pci.0 (guest.toml:3:1)";
  section.quirks = {"no-such-quirk"};
  const auto fact = first(section);
  EXPECT_EQ(fact.state, CardState::kUnfit);
  EXPECT_THAT(fact.reason,
              AllOf(HasSubstr("no-such-quirk"), testing::Not(HasSubstr("guest.toml"))));
}

TEST_F(SurveyTest, UnmanagedCardMustBeWithVfio) {
  auto section = wanting("any-gpu");
  section.managed = false;
  EXPECT_EQ(first(section).state, CardState::kBusy);
  host_.attach(kFirst, "vfio-pci");
  host_.attach("0000:01:00.1", "vfio-pci");
  EXPECT_EQ(first(section).state, CardState::kFree) << first(section).reason;
}

TEST_F(SurveyTest, CardOutOfSysfsDuringARescanMayComeBack) {
  const auto claim = DeviceClaim::take(host_, bdf_of(kThird), "gpuvm reset");
  ASSERT_TRUE(claim);
  const auto cards = look({wanting("class:0302")}).at(0).cards;
  ASSERT_EQ(cards.size(), 1U);
  EXPECT_EQ(cards[0].state, CardState::kBusy);
  EXPECT_THAT(cards[0].reason, StartsWith("not there just now, and taken by gpuvm"));
}

TEST_F(SurveyTest, NamedDeviceThatNoWaitingMakesFitIsAnErrorAtOnce) {
  const auto absent = survey_cards(host_, guest("m", {naming(kThird)}), Askers::kAll, {});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(absent.error().to_string(), HasSubstr("0000:03:00.0 is not there"));
  EXPECT_TRUE(survey_cards(host_, guest("m", {naming(kThird)}), Askers::kMatch, {})->empty())
      << "without a wait its start tells";
}

TEST_F(SurveyTest, WithoutAnIommuThereIsNothingToWaitFor) {
  std::filesystem::remove_all(host_.path("/sys/kernel/iommu_groups"));
  const auto wishes = survey_cards(host_, guest("m", {wanting("any-gpu")}), Askers::kMatch, {});
  ASSERT_FALSE(wishes);
  EXPECT_EQ(wishes.error().kind(), ErrorKind::kHost);
}

}  // namespace
}  // namespace gpuvm::survey_test
