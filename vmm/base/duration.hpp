// SPDX-License-Identifier: Apache-2.0
// Times as people write them: "30m".
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace gpuvm {

/// "90", "90s", "30m" or "30min", "2h", "1d", and sums from the larger to the smaller unit: "1h30m"
/// or "1h 30min". At most 1000 days. Nothing for other text.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

/// As parse_duration() takes it, in as few units as are needed: "1h30m", "0s".
std::string to_string(std::chrono::seconds duration);

}  // namespace gpuvm
