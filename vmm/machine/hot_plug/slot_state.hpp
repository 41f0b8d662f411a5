// SPDX-License-Identifier: Apache-2.0
// SlotState: what is going on in a hot-plug slot, and which state may follow which. Pure.
//
//   from          to
//   empty         coming
//   coming        in        each step of the attach has ended well
//                 going     one has not: those before it are taken back
//   in            asked     the guest is asked to let the card go
//                 going     it is taken without asking
//   asked         going     the guest has let it go, or does not answer
//   going         empty
#pragma once

#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

enum class SlotState { kEmpty, kComing, kIn, kAsked, kGoing };
std::string_view to_string(SlotState state);

bool may_follow(SlotState from, SlotState to);

}  // namespace gpuvm
