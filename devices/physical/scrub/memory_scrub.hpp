// SPDX-License-Identifier: Apache-2.0
// The memory of a card, overwritten with zeroes before the next guest gets it: through the windows
// that its BARs are, while no guest has it, after its reset. What takes writes is found out by
// marks that are written and read back, because memory that is zero already proves nothing. Only
// prefetchable memory BARs are written to: others hold registers. Missing: memory that no window
// shows (a card with more memory than its BAR has bytes, unless resize_bar makes it larger), caches
// and registers of the chip, write combining (VFIO maps BARs uncached on x86), parts that the host
// does not let us map.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// What a user wants overwritten.
struct ScrubChoice {
  std::vector<unsigned> bars;  ///< 0 to 5, ascending; empty: the largest that can be memory
  std::chrono::seconds limit{600};

  bool operator==(const ScrubChoice&) const = default;
};
/// One line, to be kept where a crash does not reach it; "" for nothing.
std::string to_text(const std::optional<ScrubChoice>& choice);
/// Of any text. What is damaged is the default choice: too much is overwritten rather than nothing.
std::optional<ScrubChoice> parse_scrub_choice(std::string_view text);

/// Of one BAR, in bytes; the three add up to its size.
struct ScrubbedBar {
  unsigned bar = 0;
  std::uint64_t size = 0;
  std::uint64_t zeroed = 0;       ///< overwritten, and samples read zero
  std::uint64_t unwritable = 0;   ///< takes no writes, or cannot be mapped: not covered
  std::uint64_t not_reached = 0;  ///< the time was over, or something failed before
};

struct ScrubReport {
  std::string function;
  std::vector<ScrubbedBar> bars;
  std::uint64_t samples = 0;        ///< that were read, and were zero
  std::vector<std::string> faults;  ///< empty: all that takes writes in these BARs is zero
  std::chrono::milliseconds duration{0};

  bool is_done() const { return faults.empty(); }
  std::uint64_t zeroed() const;
  std::uint64_t not_covered() const;  ///< of the BARs' bytes
  /// What was and was not covered, in one sentence.
  std::string to_text() const;
};

struct ScrubProgress {
  std::string function;
  std::uint64_t done = 0;  ///< bytes that were looked at
  std::uint64_t all = 0;
};

struct ScrubWatch {
  /// Since any moment; tests have a clock of their own.
  std::function<std::chrono::milliseconds()> now;
  /// Every kScrubNewsPause at most, on the thread that does the work; may be empty.
  std::function<void(const ScrubProgress&)> on_progress = {};

  static ScrubWatch real();
};
constexpr std::chrono::milliseconds kScrubNewsPause{5000};

/// The BARs that would be written to. Errors: kConfig: none can be memory, or one of the choice is
/// none: ports, not prefetchable, absent, the home of the MSI-X table, or a file that may become
/// shorter; those of PhysicalDevice::read().
Result<std::vector<unsigned>> bars_to_scrub(PhysicalDevice& device, const ScrubChoice& choice);

/// The function has been reset and checked, and no guest has it. Memory decode is on meanwhile
/// only; bus mastering stays as it is. Takes choice.limit and one step more at most.
ScrubReport scrub_memory(PhysicalDevice& device, const ScrubChoice& choice,
                         const ScrubWatch& watch = ScrubWatch::real());

struct ScrubJob {
  PhysicalDevice* device = nullptr;
  ScrubChoice choice;
};
/// All at once, each on a thread of its own. The reports are in the order of the jobs.
std::vector<ScrubReport> scrub_all(const std::vector<ScrubJob>& jobs,
                                   const ScrubWatch& watch = ScrubWatch::real());

}  // namespace gpuvm
