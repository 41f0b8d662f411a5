// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/card_errors.hpp"

#include <vector>

#include "vmm/base/duration.hpp"

namespace gpuvm {
namespace {

/// Of cards that would be free the choice says why there are none left.
std::string reasons_or_fewer(std::span<const CardWish> wishes) {
  auto reasons = reasons_against(wishes);
  return reasons.empty() ? "the free ones go to other sections" : reasons;
}

}  // namespace

std::optional<Error> hopeless_error(std::span<const CardWish> wishes) {
  for (const CardWish& wish : wishes) {
    if (wish.cards.empty()) {
      return fail(ErrorKind::kHost, "This host has no card for {}: `lspci -Dnn` lists what it has",
                  wish.name);
    }
    if (is_hopeless(wish)) {
      return fail(ErrorKind::kHost, "No card of this host will do for {}: {}", wish.name,
                  reasons_against(std::span(&wish, 1)));
    }
  }
  // As if everybody let go of everything: each may have a card, and not all at once.
  std::vector<CardWish> best(wishes.begin(), wishes.end());
  for (CardWish& wish : best) {
    std::erase_if(wish.cards, [](const CardFact& fact) { return fact.state == CardState::kUnfit; });
    for (CardFact& fact : wish.cards) {
      fact.state = CardState::kFree;
    }
  }
  const auto choice = choose_cards(best);
  if (choice.is_complete()) {
    return std::nullopt;
  }
  return fail(ErrorKind::kHost,
              "This host has too few cards for {}: other sections of the configuration take them",
              names_of_unfulfilled(best, choice));
}

Error not_free_error(std::span<const CardWish> wishes, const CardChoice& choice) {
  return fail(ErrorKind::kHost, "No card is free for {}: {} (--wait 30m waits for one)",
              names_of_unfulfilled(wishes, choice), reasons_or_fewer(wishes));
}

Error too_late_error(std::span<const CardWish> wishes, const CardChoice& choice,
                     std::chrono::seconds wait) {
  return fail(ErrorKind::kHost, "No card became free within {} for {}: {}", to_string(wait),
              names_of_unfulfilled(wishes, choice), reasons_or_fewer(wishes));
}

}  // namespace gpuvm
