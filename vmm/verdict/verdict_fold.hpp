// SPDX-License-Identifier: Apache-2.0
// VerdictFold: what a guest said of itself by all its channels, what its console shows, what limit
// of time was over and how its run ended, folded into one Verdict by the rank of the evidence,
// which is a table. No channel knows another. The verdict explains itself: which evidence counted,
// and what else there was, how much earlier or later.
//
// Pure, and of bounded size: of each kind of evidence the first one is kept. One thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/control/guest_events.hpp"
#include "vmm/control/run_result.hpp"
#include "vmm/verdict/console_lines.hpp"
#include "vmm/verdict/console_patterns.hpp"
#include "vmm/verdict/job_limits.hpp"
#include "vmm/verdict/verdict.hpp"

namespace gpuvm {

/// In the order of trust: the first that is there decides.
enum class Evidence {
  kUnsafeDevice,
  kFault,
  kPanicDevice,
  kPanicConsole,
  kGivenUp,  ///< KVM could not go on with the guest
  kStatusPort,
  kVsock,
  kNotify,
  kExitPort,
  kResultFile,
  kOtherStatus,  ///< by a channel that is not in the table
  kFailurePattern,
  kSuccessPattern,
  kLimit,
  kReboots,
  kCount,
};

/// A row of the table.
struct EvidenceRank {
  Evidence evidence;
  std::string_view channel;  ///< as in GuestWord::channel and Verdict::channel
  std::string_view outcome;  ///< exit status, for people: "120", "0 to 119"
  std::string_view why;      ///< it stands where it stands
};
std::span<const EvidenceRank> evidence_ranks();

/// What something new means for how the guest comes to its end.
enum class EndingCause {
  kNothing,
  kStatus,       ///< an exit status by a channel
  kPattern,      ///< a pattern on the console
  kPanic,        ///< the kernel is at its end
  kCrashKernel,  ///< the same, and another kernel saves what there is to save
};

/// The highest exit status that is a guest's; a higher one becomes this, never a lower number.
constexpr std::uint32_t kHighestGuestStatus = 119;
constexpr int kStatusUnsafeDevice = 120;
constexpr int kStatusPanicked = 121;
constexpr int kStatusHostFault = 122;
constexpr int kStatusTimedOut = 124;
constexpr int kStatusNoVerdict = 125;
constexpr int kStatusSkipped = 77;

class VerdictFold {
 public:
  using TimePoint = std::chrono::system_clock::time_point;

  VerdictFold() = default;
  VerdictFold(ConsolePatterns success, ConsolePatterns failure)
      : success_(std::move(success)), failure_(std::move(failure)) {}

  EndingCause event(const GuestEvent& event);
  EndingCause console_line(const ConsoleLine& line);
  /// Somebody else than the guest has asked it to end. What it says from then on of its test is too
  /// late: it may be a word of the shutdown (systemd says exit status 0 of one that went well). A
  /// panic, a fault and a device that is unsafe still count, and so does what is known to have been
  /// written before (GuestWord::written). The first call counts.
  void end_asked(TimePoint time) { end_asked_ = end_asked_.value_or(time); }
  /// A limit is over, and the guest is asked to end.
  void limit_over(JobLimit limit, std::chrono::milliseconds length, TimePoint time);
  /// The guest has reset more often than a job may.
  void too_many_reboots(std::uint64_t reboots, unsigned most, TimePoint time);

  /// The run has ended like this.
  Verdict verdict(const RunResult& run) const;

 private:
  struct Found {
    TimePoint time = {};
    std::string text = {};
    std::optional<std::uint32_t> status = {};
    std::string channel = {};
    bool is_late = false;
    bool has_time = true;  ///< false: it is about the run as a whole
  };
  using All = std::array<std::optional<Found>, static_cast<std::size_t>(Evidence::kCount)>;

  bool note(Evidence evidence, Found found, bool was_in_time = false);
  EndingCause word(const GuestWord& word, TimePoint time);
  static void add_run(All& all, const RunResult& run);
  static std::size_t what_counts(const All& all);
  std::string explain(const All& all, std::size_t counts) const;

  ConsolePatterns success_;
  ConsolePatterns failure_;
  All found_ = {};
  std::optional<TimePoint> end_asked_;
  std::optional<Found> network_lost_;  ///< decides nothing, and explains much
};

/// Before a device was touched, and only where that was asked for.
Verdict skipped_verdict(std::string reason);
/// Of a job that could not begin.
Verdict fault_verdict(const Error& error);

}  // namespace gpuvm
