// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/found_functions.hpp"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string>

namespace gpuvm {
namespace {

/// Keys whose values may not fit the device, each of which can be left out to look at the others.
using TakeOut = void (*)(PciConfig& entry);
constexpr TakeOut kKeys[] = {
    [](PciConfig& entry) { entry.resize_bar.reset(); },
    [](PciConfig& entry) { entry.vf_token.clear(); },
    [](PciConfig& entry) { entry.rom = {}; },
    [](PciConfig& entry) { entry.quirks.clear(); },
    [](PciConfig& entry) { entry.coherent_memory.reset(); },
};

class Search {
 public:
  explicit Search(const HostSystem& host) : host_(host) {}

  /// The entry without keys that do not fit; nothing: it is wrong even so. Each error is kept.
  std::optional<PciConfig> examine(const PciConfig& entry, std::size_t index) {
    PciConfig rest = entry;
    // At most one key goes in each round.
    for (std::size_t round = 0; round <= std::size(kKeys); ++round) {
      auto outcome = resolve_functions(host_, {rest});
      if (outcome) {
        return rest;
      }
      const auto without = next_without(rest, outcome.error().to_string());
      const auto suffix = round == 0 ? std::string() : fmt::format("_{}", round);
      note(std::move(outcome).error(), fmt::format("pci.{}{}", index, suffix));
      if (!without) {
        return std::nullopt;
      }
      rest = *without;
    }
    return std::nullopt;
  }
  void note(Error error, std::string of) {
    findings_.push_back({std::string(kEntriesCheck), std::move(error), std::move(of)});
  }
  std::vector<Finding> findings() && { return std::move(findings_); }

 private:
  /// Without the key that makes this error: another one, or none, comes when it is left out.
  std::optional<PciConfig> next_without(const PciConfig& entry, const std::string& text) const {
    for (const TakeOut take_out : kKeys) {
      PciConfig changed = entry;
      take_out(changed);
      const auto outcome = resolve_functions(host_, {changed});
      if (outcome || outcome.error().to_string() != text) {
        return changed;
      }
    }
    return std::nullopt;
  }

  const HostSystem& host_;
  std::vector<Finding> findings_;
};

}  // namespace

FoundFunctions find_functions(const HostSystem& host, const std::vector<PciConfig>& entries) {
  auto all = resolve_functions(host, entries);
  if (all) {
    return {.functions = std::move(all).value(), .findings = {}};
  }
  Search search(host);
  std::vector<PciConfig> good;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (auto rest = search.examine(entries[i], i)) {
      good.push_back(*std::move(rest));
    }
  }
  auto together = resolve_functions(host, good);
  if (!together) {
    search.note(std::move(together).error(), "all");
    return {.functions = {}, .findings = std::move(search).findings()};
  }
  return {.functions = std::move(together).value(), .findings = std::move(search).findings()};
}

}  // namespace gpuvm
