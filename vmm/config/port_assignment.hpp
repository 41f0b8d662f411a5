// SPDX-License-Identifier: Apache-2.0
// Behind which root port of the guest, and with which function number, each slot of the
// configuration appears. Pure: what the slots are is told by who asks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// What a slot needs of the port; the first has the first choice.
enum class SlotKind {
  kGpu,    ///< to be function 0 of a port
  kOwn,    ///< a port of its own
  kSmall,  ///< nothing: goes behind the first port
};
/// `class_code`: 24 bits.
SlotKind slot_kind_of(std::uint16_t vendor, std::uint32_t class_code);

/// One [[pci]] entry.
struct SlotRequest {
  std::string name;                       ///< for messages
  SlotKind kind = SlotKind::kSmall;       ///< the neediest of its functions
  std::vector<std::uint8_t> functions;    ///< their numbers in the host, ascending, at least one
  std::optional<std::uint8_t> port = {};  ///< that the user wants, below kRootPorts
  /// The card that it is a part of: entries of one card stay together. Nothing: one of its own, as
  /// virtual functions and those of servers are.
  std::optional<Bdf> card = {};
};

struct SlotPlace {
  std::uint8_t port = 0;
  std::vector<std::uint8_t> functions;  ///< numbers behind the port, as SlotRequest's
};

/// In the order of the requests. A port's first slot keeps its function numbers if it has number 0;
/// others take the next free. Errors: kConfig naming the slot that does not fit, and the cure.
Result<std::vector<SlotPlace>> assign_ports(std::span<const SlotRequest> slots);

}  // namespace gpuvm
