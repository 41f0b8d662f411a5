// SPDX-License-Identifier: Apache-2.0
// HotSlot: one hot-plug slot and the card in it: what follows what, on the way in, on the way out,
// and where a step fails.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/machine/hot_plug/hot_card.hpp"
#include "vmm/machine/hot_plug/slot_state.hpp"

namespace gpuvm {

/// What has become of a card, for events: "claimed", "verified", "mapped", "shown", "announced",
/// "asked", "withdrawn", "gone".
struct HotPlugStep {
  std::uint8_t port = 0;
  std::string card = {};
  std::string_view step = {};
  std::string text = {};  ///< what else there is to say; mostly nothing
};

/// The worker's, but for inspect().
class HotSlot : public Inspectable {
 public:
  /// Does `change` while nobody inspects.
  using Exclusively = std::function<void(const std::function<void()>& change)>;
  struct Options {
    std::uint8_t port = 0;
    Exclusively exclusively;
    std::function<void(const HotPlugStep&)> on_step = {};  ///< may be empty
  };
  explicit HotSlot(Options options) : options_(std::move(options)) {}

  std::uint8_t port() const { return options_.port; }
  SlotState state() const { return state_; }
  /// Its card, or one of the card's functions, has this name.
  bool has(std::string_view name) const { return card_ != nullptr && card_->has(name); }
  std::string card_name() const { return card_ == nullptr ? std::string() : card_->name(); }
  /// Of a card that is in it.
  std::vector<PhysicalDevice*> devices() const { return card_->devices(); }

  /// Takes the card all the way to the guest. Errors: of the step that failed; those before it have
  /// been taken back, and the slot is empty. kWrongState: it is not.
  Status attach(std::unique_ptr<HotCard> card, const HotCard::IsUnwanted& is_unwanted);
  /// Asks the guest for it. True: it can be taken out at once. Errors: kWrongState, where nothing
  /// is there or it has been asked for.
  Result<bool> ask();
  /// Takes it out of the guest, resets, verifies and gives it back, whether the guest has let it go
  /// or not; the slot is empty afterwards, whatever came of it. Errors: kUnsafeDevice, where it did
  /// not come back from its reset: it stays with gpuvm's mark. kWrongState: nothing is there.
  Status take_out();
  /// Of the card that is there, if one is.
  Status reset(ResetReason reason);
  void inspect(InspectNode& node) const override;

 private:
  /// How far the card has come.
  enum class Reached { kNothing, kTaken, kVerified, kJoined, kShown, kAnnounced };
  Status come(const HotCard::IsUnwanted& is_unwanted);
  Status go();
  Status enter(SlotState next);
  void reach(Reached reached, std::string_view step);
  void tell(std::string_view step, std::string text = {}) const;

  const Options options_;
  SlotState state_ = SlotState::kEmpty;
  Reached reached_ = Reached::kNothing;
  std::unique_ptr<HotCard> card_;  ///< null: empty
};

}  // namespace gpuvm
