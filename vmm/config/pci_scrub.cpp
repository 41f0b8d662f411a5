// SPDX-License-Identifier: Apache-2.0
// [[pci]]: what of a card's memory is overwritten before the next user gets it. Whether a BAR is
// memory is known once the function is open.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::int64_t kLastBar = 5;
/// Below the 20 minutes after which systemd takes a gpuvm at one work for hung (docs/systemd.md).
constexpr std::chrono::seconds kLongestScrub{900};

Result<std::vector<std::uint8_t>> read_scrub_bars(TableReader& entry) {
  constexpr std::string_view kRule = "a list of BAR numbers from 0 to 5, such as [1]";
  std::vector<std::uint8_t> bars;
  const auto numbers = TRY(entry.optional_integers("scrub_bars", {0, kLastBar}, kRule));
  if (!numbers) {
    return bars;
  }
  if (numbers->empty()) {
    return entry.must_be("scrub_bars", kRule, "an empty list");
  }
  for (const auto number : *numbers) {
    bars.push_back(static_cast<std::uint8_t>(number));
  }
  std::sort(bars.begin(), bars.end());
  if (std::adjacent_find(bars.begin(), bars.end()) != bars.end()) {
    return entry.wrong("scrub_bars", "names a BAR twice");
  }
  return bars;
}

Result<std::chrono::seconds> read_scrub_limit(TableReader& entry, std::chrono::seconds otherwise) {
  const auto limit = TRY(read_limit(entry, "scrub_limit", otherwise));
  if (limit.count() == 0 || limit > kLongestScrub) {
    return entry.wrong("scrub_limit", "must be 1 s to 15 min, such as \"10min\"");
  }
  return limit;
}

}  // namespace

Status read_scrub(TableReader& entry, PciConfig& pci) {
  pci.scrub = TRY(entry.choice("scrub", pci.scrub));
  pci.scrub_bars = TRY(read_scrub_bars(entry));
  pci.scrub_limit = TRY(read_scrub_limit(entry, pci.scrub_limit));
  for (const char* const key : {"scrub_bars", "scrub_limit"}) {
    if (entry.has(key) && pci.scrub == PciScrub::kOff) {
      return entry.wrong(key, "goes with scrub = \"vram\" only");
    }
  }
  if (pci.scrub != PciScrub::kOff && pci.reset == ResetChoice::kNone) {
    return entry.wrong("scrub",
                       "needs a reset, or the device could write to its memory meanwhile: remove "
                       "reset = \"none\"");
  }
  return {};
}

}  // namespace gpuvm::config
