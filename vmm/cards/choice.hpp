// SPDX-License-Identifier: Apache-2.0
// Which card each section of a configuration gets, by facts that others have gathered: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"

namespace gpuvm {

enum class CardState {
  kFree,
  kBusy,   ///< somebody has it or uses it, and may let go of it by himself
  kUnfit,  ///< it will not do until somebody sees to it
};

/// A card that a section could get.
struct CardFact {
  Bdf card;  ///< the function that matches
  /// Two facts of one card have the same: function 0 of its slot, or a virtual function itself.
  Bdf identity;
  std::vector<Bdf> functions = {};  ///< what the guest would get of it, ascending
  CardState state = CardState::kFree;
  std::string reason = {};  ///< why not; not for kFree
};

/// What a section of the configuration asks for.
struct CardWish {
  std::size_t entry = 0;             ///< of Config::pci
  std::string name = {};             ///< "pci.0 (guest.toml:3:1), match = [\"any-gpu\"]"
  std::vector<CardFact> cards = {};  ///< the one that is wanted most first
};

/// For each wish the index of its card; nothing: none is left for it.
struct CardChoice {
  std::vector<std::optional<std::size_t>> cards;
  bool is_complete() const;
};

/// Gives each wish the first card that is free, and each card to one wish. As many wishes as can be
/// are fulfilled: an earlier one steps aside to another card where a later one has no other.
CardChoice choose_cards(std::span<const CardWish> wishes);

/// Some wish cannot be fulfilled by waiting: all its cards are unfit, or it has none.
bool is_hopeless(const CardWish& wish);

/// "0000:01:00.0: taken by …; 0000:02:00.0: …": each card that is not free, once.
std::string reasons_against(std::span<const CardWish> wishes);

/// Those without a card: "pci.0 (guest.toml:3:1), match = [\"any-gpu\"]", joined.
std::string names_of_unfulfilled(std::span<const CardWish> wishes, const CardChoice& choice);

}  // namespace gpuvm
