// SPDX-License-Identifier: Apache-2.0
// preview_cards(): which cards a start would take now, and why none of the others.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "vmm/cards/card_errors.hpp"
#include "vmm/cards/survey.hpp"
#include "vmm/cards/take_cards.hpp"

namespace gpuvm {
namespace {

/// Of wishes that got none the first card that is in no other's hands, so that it can be shown.
CardChoice with_stand_ins(const std::vector<CardWish>& wishes, CardChoice choice) {
  std::set<Bdf> used;
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    if (choice.cards[i]) {
      used.insert(wishes[i].cards[*choice.cards[i]].identity);
    }
  }
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const auto& cards = wishes[i].cards;
    for (std::size_t j = 0; j < cards.size() && !choice.cards[i]; ++j) {
      if (used.insert(cards[j].identity).second) {
        choice.cards[i] = j;
      }
    }
  }
  return choice;
}

void describe_wish(const CardWish& wish, const std::optional<std::size_t>& chosen,
                   InspectNode& node) {
  auto& child = node.child(wish.name);
  for (std::size_t i = 0; i < wish.cards.size(); ++i) {
    const CardFact& fact = wish.cards[i];
    const bool is_free = fact.state == CardState::kFree;
    child.field(fact.card.to_string(), chosen == i ? "this one"
                                       : is_free   ? "free, and not needed"
                                                   : fact.reason);
  }
}

CardOffer offer_for(const CardWish& wish, const std::optional<std::size_t>& chosen) {
  std::vector<std::string> others;
  for (std::size_t i = 0; i < wish.cards.size(); ++i) {
    const CardFact& fact = wish.cards[i];
    if (chosen != i) {
      others.push_back(
          fmt::format("{}: {}", fact.card.to_string(),
                      fact.state == CardState::kFree ? "free, and not needed" : fact.reason));
    }
  }
  auto text = chosen ? fmt::format("{} now", wish.cards.at(*chosen).card.to_string())
                     : std::string("no card now");
  if (!others.empty()) {
    text += fmt::format("; {}", fmt::join(others, "; "));
  }
  return {.section = wish.name, .text = std::move(text), .has_card = chosen.has_value()};
}

}  // namespace

CardPreview preview_cards(const HostSystem& host, const Config& config, InspectNode& node) {
  CardPreview preview{.config = config, .findings = {}, .left_out = {}, .offers = {}};
  if (!asks_for_cards(config, Askers::kMatch)) {
    return preview;
  }
  auto& sections = preview.config.pci;
  auto wishes = survey_cards(host, config, Askers::kMatch, visible_guests(host));
  if (wishes) {
    const auto choice = choose_cards(*wishes);
    const auto shown = with_stand_ins(*wishes, choice);
    for (std::size_t i = 0; i < wishes->size(); ++i) {
      const CardWish& wish = (*wishes)[i];
      describe_wish(wish, choice.cards[i], node.child("cards"));
      preview.offers.push_back(offer_for(wish, choice.cards[i]));
      if (shown.cards[i]) {
        auto& section = sections.at(wish.entry);
        section = with_card(section, wish.cards[*shown.cards[i]].card);
      }
    }
    if (auto hopeless = hopeless_error(*wishes)) {
      preview.findings.push_back({"cards", *std::move(hopeless)});
    } else if (!choice.is_complete()) {
      preview.findings.push_back({"cards", not_free_error(*wishes, choice)});
    }
  } else {
    preview.findings.push_back({"cards", std::move(wishes).error()});
  }
  if (std::erase_if(sections, [](const PciConfig& each) { return !each.match.empty(); }) != 0) {
    preview.left_out = preview.findings.front().outcome;
  }
  return preview;
}

}  // namespace gpuvm
