// SPDX-License-Identifier: Apache-2.0
// Internal to this room: why a section gets no card, told to the user.
#pragma once

#include <chrono>
#include <optional>
#include <span>

#include "vmm/base/result.hpp"
#include "vmm/cards/choice.hpp"

namespace gpuvm {

/// Nothing: waiting may help. Else kHost.
std::optional<Error> hopeless_error(std::span<const CardWish> wishes);

/// No card is free now. kHost.
Error not_free_error(std::span<const CardWish> wishes, const CardChoice& choice);

/// None became free in this time. kHost.
Error too_late_error(std::span<const CardWish> wishes, const CardChoice& choice,
                     std::chrono::seconds wait);

}  // namespace gpuvm
