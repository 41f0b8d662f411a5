// SPDX-License-Identifier: Apache-2.0
// What a dry run tells of the choice.
#include <gmock/gmock.h>

#include "tests/unit/vmm/cards/cards_fixture.hpp"
#include "vmm/cards/take_cards.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::preview_cards_test {
namespace {

using cards_fixture::guest;
using cards_fixture::kFirst;
using cards_fixture::kSecond;
using cards_fixture::naming;
using cards_fixture::wanting;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class PreviewCardsTest : public testing::Test {
 protected:
  PreviewCardsTest() {
    host_.add_card(kFirst, 1);
    host_.add_card(kSecond, 2);
  }
  CardPreview preview(std::vector<PciConfig> sections) {
    return preview_cards(host_, guest("main", std::move(sections)), node_);
  }
  cards_fixture::CardHost host_;
  InspectNode node_;
};

TEST_F(PreviewCardsTest, TellsTheCardAndWhyItIsNoneOfTheOthers) {
  const auto claim = DeviceClaim::take(host_, bdf_of(kFirst), "the guest a");
  ASSERT_TRUE(claim);
  const auto shown = preview({wanting("any-gpu")});
  EXPECT_EQ(shown.config.pci.at(0).host, bdf_of(kSecond));
  EXPECT_TRUE(shown.config.pci.at(0).match.empty());
  EXPECT_THAT(shown.findings, IsEmpty());
  EXPECT_TRUE(shown.left_out);
  const auto text = node_.to_text();
  EXPECT_THAT(text, HasSubstr("taken by gpuvm"));
  EXPECT_THAT(text, HasSubstr("this one"));
  EXPECT_THAT(host_.state(), ElementsAre("0000:01:00.0.state")) << "nothing is taken";
  ASSERT_THAT(shown.offers, SizeIs(1));
  EXPECT_TRUE(shown.offers[0].has_card);
  EXPECT_THAT(shown.offers[0].section, HasSubstr("pci.0"));
  EXPECT_THAT(shown.offers[0].text, HasSubstr("0000:02:00.0 now; 0000:01:00.0: taken by gpuvm"));
}

TEST_F(PreviewCardsTest, CardThatIsNotFreeStandsIn) {
  const auto first = DeviceClaim::take(host_, bdf_of(kFirst), "the guest a");
  const auto second = DeviceClaim::take(host_, bdf_of(kSecond), "the guest b");
  const auto shown = preview({wanting("any-gpu"), wanting("any-gpu"), wanting("any-gpu")});
  ASSERT_THAT(shown.config.pci, SizeIs(2)) << "for the third there is no card at all";
  EXPECT_EQ(shown.config.pci[1].host, bdf_of(kSecond));
  ASSERT_THAT(shown.findings, SizeIs(1));
  EXPECT_THAT(shown.findings[0].outcome.error().to_string(), HasSubstr("too few cards for pci.2"));
  EXPECT_FALSE(shown.left_out);
  ASSERT_THAT(shown.offers, SizeIs(3));
  EXPECT_FALSE(shown.offers[2].has_card);
  EXPECT_THAT(shown.offers[2].text, HasSubstr("no card now; "));
}

TEST_F(PreviewCardsTest, SectionsThatNameTheirDeviceAreLeftAlone) {
  const auto shown = preview({naming(kFirst)});
  EXPECT_THAT(shown.config.pci, SizeIs(1));
  EXPECT_EQ(node_.to_text().find("cards"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::preview_cards_test
