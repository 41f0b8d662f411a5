// SPDX-License-Identifier: Apache-2.0
// How a monitor gets the files (CardFiles) of a card that its owner has taken for it
// (docs/hotplug.md), which no path leads the monitor to.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "vmm/base/card_files.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {

/// A function's address as one number: segment, bus, device and function, from the top.
std::uint32_t card_address(const Bdf& function);
Bdf card_address(std::uint32_t number);

/// How the monitor waits between two questions.
using OwnerSleep = std::function<void(std::chrono::milliseconds)>;

/// Has the owner take the card, waits until it is done, which may take minutes, and fetches its
/// files. Where they cannot be fetched the owner gives it back. Errors: as Owner has them;
/// kInternal for files that no owner of ours has.
Result<CardFiles> take_card_from(Owner& owner, std::uint32_t card, const OwnerSleep& sleep);
/// After its files are closed: has the owner give it back, and waits until it has.
Status give_card_back_to(Owner& owner, std::uint32_t card, const OwnerSleep& sleep);

}  // namespace gpuvm
