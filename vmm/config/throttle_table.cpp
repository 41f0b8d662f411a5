// SPDX-License-Identifier: Apache-2.0
// The inline tables { iops = …, bandwidth = … } of disks and { packets = …, bandwidth = … } of
// network cards: how often in a second, and how much.
#include "vmm/config/foreign_names.hpp"
#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::int64_t kMostCount = 1'000'000'000;
constexpr std::string_view kBandwidthRule =
    "what goes in a second, such as \"100MiB\" or \"1GiB\", at least \"1MiB\"";

}  // namespace

Result<ThrottleTable> read_throttle_table(TableReader& entry, std::string_view count_key) {
  ThrottleTable throttle;
  const bool is_there = entry.has("throttle");
  auto table = TRY(entry.table("throttle", fmt::format("{{ {} = 1000 }}", count_key)));
  if (!is_there) {
    return throttle;
  }
  const auto count = TRY(table.optional_integer(count_key, {.least = 1, .most = kMostCount}));
  throttle.count = static_cast<std::uint64_t>(count.value_or(0));
  if (const auto text = TRY(table.optional_string("bandwidth", kBandwidthRule))) {
    const auto bandwidth = parse_size(*text);
    if (!bandwidth || *bandwidth == 0) {
      const auto guess = size_guess(*text);
      return table.must_be("bandwidth", kBandwidthRule, '"' + printable(*text) + '"',
                           guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess));
    }
    throttle.bandwidth = *bandwidth;
  }
  TRY(table.finish());
  return throttle;
}

}  // namespace gpuvm::config
