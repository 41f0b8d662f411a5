// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/verdict_fold.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace gpuvm {
namespace {

constexpr EvidenceRank kRanks[] = {
    {Evidence::kUnsafeDevice, "gpuvm", "120",
     "A card that did not come back must not meet the next job, whatever this one says of itself."},
    {Evidence::kFault, "gpuvm", "122",
     "A host or monitor that broke beneath the guest makes its words worthless, good and bad "
     "ones."},
    {Evidence::kPanicDevice, "pvpanic", "121",
     "The kernel's own word. A test that said 0 before brought its kernel down all the same."},
    {Evidence::kPanicConsole, "console", "121",
     "The same word as text, which others could print, too: behind the device that says it."},
    {Evidence::kGivenUp, "kvm", "125",
     "The guest did what KVM cannot do for it: a fault of either, so its words count no more, and "
     "no "
     "attempt is repeated."},
    {Evidence::kStatusPort, "status_port", "0 to 119",
     "A port for this one purpose, whose name the test's command is given."},
    {Evidence::kVsock, "vsock", "0 to 119",
     "A line that whoever in the guest may open a socket can write."},
    {Evidence::kNotify, "notify", "0 to 119",
     "systemd's word of how the system ended, of which the test is a part."},
    {Evidence::kExitPort, "exit_port", "0 to 119",
     "One byte by a port that a kernel module may touch, too, and that ends the guest at once."},
    {Evidence::kResultFile, "result_file", "0 to 119",
     "A file says nothing of when it was written."},
    {Evidence::kOtherStatus, "", "0 to 119", "A channel that this table does not know yet."},
    {Evidence::kFailurePattern, "console", "1",
     "Text that the user has told to be a failure; any program may print it. It also turns an exit "
     "status of 0 into a failure."},
    {Evidence::kSuccessPattern, "console", "0",
     "The same for a success: one sign of a failure is worth more than one of a success."},
    {Evidence::kLimit, "timeout", "124", "Nobody said anything in time."},
    {Evidence::kReboots, "reboots", "125", "The guest starts over and over, and says nothing."},
};

constexpr std::size_t kMostOthers = 3;      ///< of the evidence that did not count, in the reason
constexpr std::size_t kLongestQuote = 160;  ///< characters of a console line in the reason

/// By so much a file's time may lie before the truth: it is that of the kernel's last tick.
constexpr std::chrono::milliseconds kTick{10};

/// Linux, kernel/panic.c: what panic() prints first.
constexpr std::string_view kPanicText = "Kernel panic - not syncing";

constexpr std::size_t index_of(Evidence evidence) {
  return static_cast<std::size_t>(evidence);
}

std::string quoted_line(std::string_view line) {
  return fmt::format("\"{}{}\"", line.substr(0, kLongestQuote),
                     line.size() > kLongestQuote ? "…" : "");
}

Evidence evidence_of_status(std::string_view channel) {
  const auto found = std::find_if(std::begin(kRanks), std::end(kRanks), [channel](const auto& row) {
    return row.channel == channel && row.evidence >= Evidence::kStatusPort &&
           row.evidence <= Evidence::kResultFile;
  });
  return found == std::end(kRanks) ? Evidence::kOtherStatus : found->evidence;
}

bool is_about_the_test(Evidence evidence) {
  return evidence >= Evidence::kStatusPort && evidence <= Evidence::kSuccessPattern;
}

std::string signal_text(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? fmt::format("Signal {}", signal) : fmt::format("SIG{}", name);
}

/// Of a run in which nobody said anything.
Verdict silent_verdict(const RunResult& run) {
  Verdict verdict{.outcome = Outcome::kNoVerdict, .exit_status = kStatusNoVerdict};
  if (run.signal != 0) {
    verdict.channel = "signal";
    verdict.reason = signal_text(run.signal) + " ended the job before the guest said anything";
    return verdict;
  }
  switch (run.end) {
    case RunEnd::kPoweredOff:
      verdict.channel = "power_off";
      verdict.reason = "the guest powered off without a word";
      return verdict;
    case RunEnd::kGuestReset:
      verdict.channel = "reset";
      verdict.reason = "the guest reset without a word";
      return verdict;
    case RunEnd::kGuestExit:
    case RunEnd::kPanicked:
    case RunEnd::kEndedForced:
    case RunEnd::kStopped:
    case RunEnd::kStartBrokenOff:
    case RunEnd::kGivenUp:
    case RunEnd::kFailed:
      break;
  }
  verdict.channel = "gpuvm";
  verdict.reason = "the job was ended before the guest said anything";
  return verdict;
}

std::pair<Outcome, int> outcome_of(Evidence evidence, std::optional<std::uint32_t> status) {
  switch (evidence) {
    case Evidence::kUnsafeDevice:
      return {Outcome::kDeviceUnsafe, kStatusUnsafeDevice};
    case Evidence::kFault:
      return {Outcome::kHostFault, kStatusHostFault};
    case Evidence::kPanicDevice:
    case Evidence::kPanicConsole:
      return {Outcome::kPanicked, kStatusPanicked};
    case Evidence::kFailurePattern:
      return {Outcome::kFailed, 1};
    case Evidence::kSuccessPattern:
      return {Outcome::kPassed, 0};
    case Evidence::kLimit:
      return {Outcome::kTimedOut, kStatusTimedOut};
    case Evidence::kGivenUp:
    case Evidence::kReboots:
    case Evidence::kCount:
      return {Outcome::kNoVerdict, kStatusNoVerdict};
    case Evidence::kStatusPort:
    case Evidence::kVsock:
    case Evidence::kNotify:
    case Evidence::kExitPort:
    case Evidence::kResultFile:
    case Evidence::kOtherStatus:
      break;
  }
  const auto value = std::min(status.value_or(kHighestGuestStatus), kHighestGuestStatus);
  return {value == 0 ? Outcome::kPassed : Outcome::kFailed, static_cast<int>(value)};
}

}  // namespace

std::span<const EvidenceRank> evidence_ranks() {
  return kRanks;
}

/// False: there was one of this kind before.
bool VerdictFold::note(Evidence evidence, Found found, bool was_in_time) {
  auto& place = found_.at(index_of(evidence));
  if (place) {
    return false;
  }
  found.is_late = is_about_the_test(evidence) && end_asked_ && !was_in_time;
  place = std::move(found);
  return true;
}

EndingCause VerdictFold::event(const GuestEvent& event) {
  if (const auto* said = std::get_if<GuestWord>(&event.what)) {
    return word(*said, event.time);
  }
  if (std::holds_alternative<EndAsked>(event.what)) {
    end_asked(event.time);
  } else if (const auto* lost = std::get_if<NetworkLost>(&event.what);
             lost != nullptr && !network_lost_) {
    network_lost_ = Found{.time = event.time, .text = "the link of " + lost->network + " was lost"};
  }
  return EndingCause::kNothing;
}

EndingCause VerdictFold::word(const GuestWord& word, TimePoint time) {
  const bool is_crash_kernel = word.word == "crash_kernel";
  if (word.word == "panic" || is_crash_kernel) {
    const bool is_new =
        note(Evidence::kPanicDevice,
             {.time = time,
              .text = fmt::format("panic by {}{}", word.channel,
                                  is_crash_kernel ? " (a crash kernel took over)" : ""),
              .channel = word.channel});
    return !is_new           ? EndingCause::kNothing
           : is_crash_kernel ? EndingCause::kCrashKernel
                             : EndingCause::kPanic;
  }
  if (word.word != "exit") {
    return EndingCause::kNothing;
  }
  // A status without a number says that something ended, and not how.
  const std::uint32_t status = word.status.value_or(kHighestGuestStatus);
  const bool was_in_time = word.written && end_asked_ && *word.written + kTick <= *end_asked_;
  const bool is_new = note(evidence_of_status(word.channel),
                           {.time = word.written.value_or(time),
                            .text = fmt::format("exit status {} by {}", status, word.channel),
                            .status = status,
                            .channel = word.channel},
                           was_in_time);
  return is_new ? EndingCause::kStatus : EndingCause::kNothing;
}

EndingCause VerdictFold::console_line(const ConsoleLine& line) {
  if (line.text.find(kPanicText) != std::string::npos &&
      note(Evidence::kPanicConsole,
           {.time = line.time, .text = "panic by the console: " + quoted_line(line.text)})) {
    return EndingCause::kPanic;
  }
  for (const auto& [evidence, patterns, what] :
       {std::tuple(Evidence::kFailurePattern, &failure_, "failure"),
        std::tuple(Evidence::kSuccessPattern, &success_, "success")}) {
    if (found_.at(index_of(evidence)) || patterns->empty()) {
      continue;
    }
    const auto pattern = patterns->find(line.text);
    if (pattern &&
        note(evidence, {.time = line.time,
                        .text = fmt::format("{} by the console: {} has the pattern {}", what,
                                            quoted_line(line.text), quoted_line(*pattern))})) {
      return EndingCause::kPattern;
    }
  }
  return EndingCause::kNothing;
}

void VerdictFold::limit_over(JobLimit limit, std::chrono::milliseconds length, TimePoint time) {
  const char* const what = limit == JobLimit::kTimeout ? "the guest took longer than"
                           : limit == JobLimit::kFirstConsole
                               ? "the guest printed nothing in its first"
                               : "the guest printed nothing for";
  note(Evidence::kLimit,
       {.time = time,
        .text = fmt::format("{} {} (test.{})", what, duration_text(length), limit_name(limit)),
        .channel = limit_name(limit)});
  end_asked(time);
}

void VerdictFold::too_many_reboots(std::uint64_t reboots, unsigned most, TimePoint time) {
  note(Evidence::kReboots,
       {.time = time,
        .text = fmt::format("the guest reset {} times without a word (test.reboots is {})", reboots,
                            most)});
}

/// What the run's result says beside the events. (Where there is an event the event is better: it
/// has a time.)
void VerdictFold::add_run(All& all, const RunResult& run) {
  const auto add = [&all](Evidence evidence, std::string text, std::optional<std::uint32_t> status,
                          std::string channel = {}) {
    auto& place = all.at(index_of(evidence));
    if (!place) {
      place = Found{.text = std::move(text),
                    .status = status,
                    .channel = std::move(channel),
                    .has_time = false};
    }
  };
  if (run.error) {
    const ErrorKind kind = run.error->kind();
    const bool is_given_up = run.end == RunEnd::kGivenUp && kind == ErrorKind::kHost;
    add(kind == ErrorKind::kUnsafeDevice ? Evidence::kUnsafeDevice
        : is_given_up                    ? Evidence::kGivenUp
                                         : Evidence::kFault,
        run.error->to_string(), {});
  } else if (run.end == RunEnd::kEndedForced && run.signal == 0 && run.exit_status < 128) {
    add(Evidence::kFault, "the host wanted a device back", {});
  } else if (run.end == RunEnd::kPanicked) {
    add(Evidence::kPanicDevice, "panic by pvpanic", {});
  } else if (run.end == RunEnd::kGuestExit) {
    add(Evidence::kExitPort, fmt::format("exit status {} by exit_port", run.exit_status),
        static_cast<std::uint32_t>(run.exit_status));
  }
}

/// "panic by pvpanic; exit status 0 by vsock 1.2 s earlier"
std::string VerdictFold::explain(const All& all, std::size_t counts) const {
  const Found& main = *all.at(counts);
  std::string text = main.text;
  std::size_t told = 0;
  const auto add = [&](const std::optional<Found>& other) {
    if (!other || told == kMostOthers) {
      return;
    }
    ++told;
    const double seconds = std::chrono::duration<double>(other->time - main.time).count();
    const std::string when = !main.has_time || !other->has_time
                                 ? std::string(" too")
                                 : fmt::format(" {:.1f} s {}", seconds < 0 ? -seconds : seconds,
                                               seconds < 0 ? "earlier" : "later");
    text += fmt::format("; {}{}{}", other->text, when, other->is_late ? ", too late" : "");
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != counts) {
      add(all.at(i));
    }
  }
  add(network_lost_);
  return text;
}

/// Where in `all` that stands which counts; behind its end: nowhere.
std::size_t VerdictFold::what_counts(const All& all) {
  const auto counts = std::find_if(all.begin(), all.end(),
                                   [](const auto& found) { return found && !found->is_late; });
  if (counts == all.end()) {
    return all.size();
  }
  const auto place = static_cast<std::size_t>(counts - all.begin());
  // The user has named a sign of failure; whoever said 0 has not seen it.
  const auto& failure = all.at(index_of(Evidence::kFailurePattern));
  const bool is_pass =
      outcome_of(static_cast<Evidence>(place), (*counts)->status).first == Outcome::kPassed;
  return is_pass && failure && !failure->is_late ? index_of(Evidence::kFailurePattern) : place;
}

Verdict VerdictFold::verdict(const RunResult& run) const {
  All all = found_;
  add_run(all, run);
  const std::size_t place = what_counts(all);
  if (place == all.size()) {
    return silent_verdict(run);
  }
  const Found& counts = *all.at(place);
  const auto [outcome, exit_status] = outcome_of(static_cast<Evidence>(place), counts.status);
  Verdict verdict{.outcome = outcome, .exit_status = exit_status};
  verdict.channel = counts.channel.empty() ? std::string(kRanks[place].channel) : counts.channel;
  verdict.reason = explain(all, place);
  verdict.guest_status = counts.status;
  return verdict;
}

Verdict skipped_verdict(std::string reason) {
  Verdict verdict{.outcome = Outcome::kSkipped, .exit_status = kStatusSkipped};
  verdict.channel = "gpuvm";
  verdict.reason = std::move(reason);
  return verdict;
}

Verdict fault_verdict(const Error& error) {
  return VerdictFold().verdict(
      {.end = RunEnd::kFailed, .exit_status = exit_status(error.kind()), .error = error});
}

}  // namespace gpuvm
