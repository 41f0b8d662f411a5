// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace gpuvm::choice_test {
namespace {

using Indices = std::vector<std::optional<std::size_t>>;

Bdf card(std::uint8_t bus) {
  return Bdf{.segment = 0, .bus = bus, .device = 0, .function = 0};
}

CardFact free_card(std::uint8_t bus) {
  return {.card = card(bus), .identity = card(bus)};
}

CardFact other_card(std::uint8_t bus, CardState state, std::string reason) {
  return {.card = card(bus), .identity = card(bus), .state = state, .reason = std::move(reason)};
}

CardWish wish(std::vector<CardFact> cards) {
  return {.name = "pci", .cards = std::move(cards)};
}

TEST(Choice, TakesTheFirstThatIsFree) {
  const std::vector wishes{
      wish({other_card(1, CardState::kBusy, "taken"), other_card(2, CardState::kUnfit, "broken"),
            free_card(3), free_card(4)})};
  EXPECT_EQ(choose_cards(wishes).cards, Indices{2});
}

TEST(Choice, NoCardGoesToTwo) {
  const std::vector wishes{wish({free_card(1), free_card(2)}), wish({free_card(1), free_card(2)}),
                           wish({free_card(1), free_card(2)})};
  const auto choice = choose_cards(wishes);
  EXPECT_EQ(choice.cards, (Indices{0, 1, std::nullopt})) << "the first keeps its first choice";
  EXPECT_FALSE(choice.is_complete());
  EXPECT_EQ(names_of_unfulfilled(wishes, choice), "pci");
}

TEST(Choice, EarlierStepsAsideForWhoHasNoOther) {
  const std::vector wishes{wish({free_card(1), free_card(2)}), wish({free_card(1)})};
  EXPECT_EQ(choose_cards(wishes).cards, (Indices{1, 0}));
  const std::vector chain{wish({free_card(1), free_card(2)}), wish({free_card(2), free_card(3)}),
                          wish({free_card(1)})};
  EXPECT_EQ(choose_cards(chain).cards, (Indices{1, 1, 0}));
}

TEST(Choice, SameCardByTwoOfItsFunctionsIsOneCard) {
  auto second = free_card(1);
  second.card.function = 1;
  EXPECT_FALSE(choose_cards(std::vector{wish({free_card(1)}), wish({second})}).is_complete());
}

TEST(Choice, WithoutWishesThereIsNothingToLack) {
  EXPECT_TRUE(choose_cards({}).is_complete());
}

TEST(Choice, OnlyWhatWaitingCanEndIsWaitedFor) {
  EXPECT_TRUE(is_hopeless(wish({})));
  EXPECT_TRUE(is_hopeless(wish({other_card(1, CardState::kUnfit, "x")})));
  EXPECT_FALSE(is_hopeless(
      wish({other_card(1, CardState::kUnfit, "x"), other_card(2, CardState::kBusy, "y")})));
  EXPECT_FALSE(is_hopeless(wish({free_card(1)})));
}

TEST(Choice, EachReasonIsToldOnce) {
  const auto taken = other_card(1, CardState::kBusy, "taken by gpuvm 12 (the guest a)");
  const std::vector wishes{wish({taken, other_card(2, CardState::kUnfit, "broken")}),
                           wish({taken, free_card(3)})};
  EXPECT_EQ(reasons_against(wishes),
            "0000:01:00.0: taken by gpuvm 12 (the guest a); 0000:02:00.0: broken");
}

/// How many wishes can have a card at all, by trying everything.
std::size_t most_fulfilled(const std::vector<CardWish>& wishes, std::size_t at,
                           std::set<Bdf> used) {
  if (at == wishes.size()) {
    return 0;
  }
  std::size_t most = most_fulfilled(wishes, at + 1, used);
  for (const CardFact& fact : wishes[at].cards) {
    if (auto with = used; with.insert(fact.identity).second) {
      most = std::max(most, 1 + most_fulfilled(wishes, at + 1, with));
    }
  }
  return most;
}

TEST(Choice, FulfilsAsManyAsCanBe) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::vector<CardWish> wishes(1 + random() % 5);
    for (auto& each : wishes) {
      for (std::uint8_t bus = 1; bus <= 5; ++bus) {
        if (random() % 3 == 0) {
          each.cards.push_back(free_card(bus));
        }
      }
    }
    const auto choice = choose_cards(wishes);
    std::map<Bdf, int> given;
    std::size_t fulfilled = 0;
    for (std::size_t i = 0; i < wishes.size(); ++i) {
      if (choice.cards[i]) {
        ++fulfilled;
        EXPECT_EQ(++given[wishes[i].cards.at(*choice.cards[i]).identity], 1);
      }
    }
    EXPECT_EQ(fulfilled, most_fulfilled(wishes, 0, {})) << "round " << round;
  }
}

}  // namespace
}  // namespace gpuvm::choice_test
