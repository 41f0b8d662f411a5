// SPDX-License-Identifier: Apache-2.0
// Which quirks there are, for which devices, whether a device needs them, and what they cost:
// policy as a table, one row a quirk, with reason and source. None is on by itself: no driver of
// today was seen to need one (the rows say why), and each costs exits in a BAR that is otherwise
// without.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

enum class QuirkKind : std::uint8_t {
  kNvidiaMirror,     ///< BAR 0 at 0x88000: 4 KiB of configuration space, and the MSI re-arm in it
  kNvidiaLowMirror,  ///< BAR 0 at 0x1800: its first 256 bytes
  kNvidiaWindow,     ///< I/O BAR 5: index 0x8, data 0xc, behind 0x0 and 0x4
  kAtiMirror,        ///< BAR 2 at 0x4000: configuration space
  kAtiWindow,        ///< I/O BAR 4: index 0, data 4, onto BAR 2 at 0x4000
};

struct QuirkPolicy {
  QuirkKind kind;
  const char* name;  ///< in [[pci]] quirks
  std::uint16_t vendor;
  std::uint8_t bar;
  bool io;             ///< the BAR is of I/O ports, else of memory
  RegionArea trapped;  ///< the part that exits; whole pages of a memory BAR
  const char* needed_by;
  const char* cost;
  const char* source;
};

std::span<const QuirkPolicy> quirk_policies();
const QuirkPolicy& policy_of(QuirkKind kind);
/// Errors: kConfig: no quirk has this name; the message lists them.
Result<QuirkKind> parse_quirk(std::string_view name);

/// The quirks that the device can have: vendor, class (VGA controllers alone, 0x0300) and BAR are
/// right. `config`: the hardware's configuration space, 64 bytes suffice.
std::vector<QuirkKind> possible_quirks(std::span<const std::byte> config);

/// Errors: kConfig, naming the quirk: the device is not of its kind.
Status check_quirks(std::span<const std::byte> config, std::span<const QuirkKind> wanted);

}  // namespace gpuvm
