// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace gpuvm {
namespace {

/// Augmenting paths in a bipartite graph (Kuhn): each step gives one more wish its card.
class CardAssignment {
 public:
  explicit CardAssignment(std::span<const CardWish> wishes) : wishes_(wishes) {
    choice_.cards.resize(wishes.size());
  }

  CardChoice run() {
    for (std::size_t wish = 0; wish < wishes_.size(); ++wish) {
      tried_.clear();
      give(wish);
    }
    return std::move(choice_);
  }

 private:
  /// Calls itself once for each wish at most.
  bool give(std::size_t wish) {
    for (const bool may_displace : {false, true}) {
      const auto& cards = wishes_[wish].cards;
      for (std::size_t i = 0; i < cards.size(); ++i) {
        if (cards[i].state == CardState::kFree && make_free(cards[i].identity, may_displace)) {
          holders_[cards[i].identity] = wish;
          choice_.cards[wish] = i;
          return true;
        }
      }
    }
    return false;
  }

  bool make_free(const Bdf& identity, bool may_displace) {
    const auto holder = holders_.find(identity);
    if (holder == holders_.end()) {
      return true;
    }
    return may_displace && tried_.insert(identity).second && give(holder->second);
  }

  std::span<const CardWish> wishes_;
  CardChoice choice_;
  std::map<Bdf, std::size_t> holders_;  ///< wishes, by their cards
  std::set<Bdf> tried_;                 ///< whose holders cannot be displaced, in this step
};

}  // namespace

bool CardChoice::is_complete() const {
  return std::all_of(cards.begin(), cards.end(), [](const auto& card) { return card.has_value(); });
}

CardChoice choose_cards(std::span<const CardWish> wishes) {
  return CardAssignment(wishes).run();
}

bool is_hopeless(const CardWish& wish) {
  return std::all_of(wish.cards.begin(), wish.cards.end(),
                     [](const CardFact& fact) { return fact.state == CardState::kUnfit; });
}

std::string reasons_against(std::span<const CardWish> wishes) {
  std::set<std::string> told;
  std::string text;
  for (const CardWish& wish : wishes) {
    for (const CardFact& fact : wish.cards) {
      auto reason = fmt::format("{}: {}", fact.card.to_string(), fact.reason);
      if (fact.state != CardState::kFree && told.insert(reason).second) {
        text += fmt::format("{}{}", text.empty() ? "" : "; ", reason);
      }
    }
  }
  return text;
}

std::string names_of_unfulfilled(std::span<const CardWish> wishes, const CardChoice& choice) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    if (!choice.cards.at(i)) {
      names.push_back(wishes[i].name);
    }
  }
  return fmt::format("{}", fmt::join(names, "; "));
}

}  // namespace gpuvm
