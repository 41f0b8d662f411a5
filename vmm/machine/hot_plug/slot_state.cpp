// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/slot_state.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gpuvm {
namespace {

constexpr std::array<std::pair<SlotState, SlotState>, 7> kSlotTransitions = {{
    {SlotState::kEmpty, SlotState::kComing},
    {SlotState::kComing, SlotState::kIn},
    {SlotState::kComing, SlotState::kGoing},
    {SlotState::kIn, SlotState::kAsked},
    {SlotState::kIn, SlotState::kGoing},
    {SlotState::kAsked, SlotState::kGoing},
    {SlotState::kGoing, SlotState::kEmpty},
}};

}  // namespace

std::string_view to_string(SlotState state) {
  switch (state) {
    case SlotState::kEmpty:
      return "empty";
    case SlotState::kComing:
      return "coming";
    case SlotState::kIn:
      return "in";
    case SlotState::kAsked:
      return "asked";
    case SlotState::kGoing:
      return "going";
  }
  return "unknown";
}

bool may_follow(SlotState from, SlotState to) {
  return std::find(kSlotTransitions.begin(), kSlotTransitions.end(), std::pair(from, to)) !=
         kSlotTransitions.end();
}

}  // namespace gpuvm
