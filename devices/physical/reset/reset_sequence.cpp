// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_sequence.hpp"

#include <algorithm>
#include <future>
#include <iterator>

#include "devices/physical/reset/function_check.hpp"
#include "vmm/base/async.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

void add_sentence(std::string& text, const std::string& sentence) {
  text += (text.empty() ? "" : "; ") + sentence;
}

/// One attempt with one method, and what it found.
struct Attempt {
  std::vector<std::string> faults;    ///< empty: success
  std::vector<std::string> oddities;  ///< worth telling, no fault
  bool is_partial = false;
  bool has_lost_function = false;   ///< one does not answer any more
  bool has_begun = true;            ///< the host did not refuse the reset as a whole
  bool is_link_at_fault = false;    ///< it is narrow, or a function behind it does not answer
  milliseconds patience{0};         ///< how long the functions may take to answer
  bool has_lost_registers = false;  ///< of BARs
  BarLook bars = {};
};

std::vector<std::string> names_of(const ResetSet& set) {
  std::vector<std::string> names;
  for (const PlannedFunction& function : set.functions) {
    names.push_back(function.device->name());
  }
  return names;
}

/// As arguments of a command.
std::string space_separated(const ResetSet& set) {
  std::string text;
  for (const PlannedFunction& function : set.functions) {
    text += (text.empty() ? "" : " ") + function.device->name();
  }
  return text;
}

bool is_of_link(ResetMethod method) {
  return method == ResetMethod::kHotReset || method == ResetMethod::kLinkRetrain;
}

class SetReset {
 public:
  SetReset(PhysicalHost& host, const ResetSet& set, const ResetPlan& plan, const ResetClock& clock,
           log::RateLimit* limit)
      : host_(host), set_(set), plan_(plan), clock_(clock), limit_(limit) {}

  ResetCertificate run();

 private:
  Attempt attempt(ResetMethod method);
  void quiesce_all(Attempt& attempt);
  void reset_functions(Attempt& attempt);
  void reset_slot(Attempt& attempt);
  void retrain_link(Attempt& attempt);
  bool is_pointless(ResetMethod method) const;
  void wait_for_all(Attempt& attempt);
  void check_all(Attempt& attempt, ResetMethod method);
  Status wait_for(const PlannedFunction& function, const Attempt& attempt, milliseconds since);
  void show_audio_functions(const Attempt& attempt, milliseconds since);
  ResetCertificate certify(ResetMethod method, milliseconds start, const Attempt& attempt) const;
  ResetCertificate refuse(milliseconds start, std::string text) const;
  std::string cure() const;
  std::string failure() const;
  bool may_tell() const { return limit_ == nullptr || limit_->allow(); }

  PhysicalHost& host_;
  const ResetSet& set_;
  const ResetPlan& plan_;
  const ResetClock& clock_;
  log::RateLimit* const limit_;
  std::string history_;  ///< of failed attempts
  bool has_lost_function_ = false;
  bool has_lost_registers_ = false;
  bool is_link_at_fault_ = true;  ///< as far as the attempts before say
  bool is_slot_tried_ = false;    ///< a hot reset was tried
  bool is_slot_reset_ = false;    ///< and one went through
  ResetMethod last_tried_ = ResetMethod::kNone;
  std::vector<ResetMethod> did_not_help_;
};

void SetReset::quiesce_all(Attempt& attempt) {
  for (const PlannedFunction& function : set_.functions) {
    for (std::string& oddity : quiesce(*function.device, function.before, clock_)) {
      attempt.oddities.push_back(std::move(oddity));
    }
  }
}

void SetReset::reset_functions(Attempt& attempt) {
  for (const PlannedFunction& function : set_.functions) {
    if (!function.device->has_function_reset()) {
      attempt.is_partial = true;
      attempt.oddities.push_back(function.device->name() + " has no reset of its own");
      continue;
    }
    const Status status = function.device->function_reset();
    if (!status) {
      attempt.faults.push_back(status.error().to_string());
    }
  }
}

void SetReset::reset_slot(Attempt& attempt) {
  is_slot_tried_ = true;
  const Status status = host_.hot_reset(*set_.functions.front().device);
  is_slot_reset_ = is_slot_reset_ || status.has_value();
  if (!status) {
    attempt.has_begun = status.error().kind() == ErrorKind::kUnsafeDevice;
    attempt.is_link_at_fault = true;
    attempt.faults.push_back(status.error().to_string());
  }
}

/// It resets nothing, so a hot reset must have gone through: before, or now that there is a link.
void SetReset::retrain_link(Attempt& attempt) {
  if (!is_slot_tried_) {  // the reset book has put the hot reset last
    Attempt first;
    reset_slot(first);
  }
  const Status status = host_.retrain_link(*set_.functions.front().device);
  if (!status) {
    attempt.faults.push_back(status.error().to_string());
    attempt.patience = milliseconds(0);  // nothing answers behind a link that is down
  } else if (!is_slot_reset_) {
    reset_slot(attempt);
  }
}

/// A lock or a power state that is left behind is no matter of the link.
bool SetReset::is_pointless(ResetMethod method) const {
  return method == ResetMethod::kLinkRetrain && !is_link_at_fault_;
}

Status SetReset::wait_for(const PlannedFunction& function, const Attempt& attempt,
                          milliseconds since) {
  return wait_until_ready(*function.device, clock_, attempt.patience, since);
}

/// Until then there is nothing to wait for behind them. One that does not answer, or does not take
/// it, is told of by what is missing then.
void SetReset::show_audio_functions(const Attempt& attempt, milliseconds since) {
  for (const PlannedFunction& function : set_.functions) {
    if (!function.before.shows_audio || !wait_for(function, attempt, since)) {
      continue;
    }
    const Status shown = show_audio_again(*function.device, function.before);
    if (!shown && may_tell()) {
      log::warn("The function behind {} may stay away: {}", function.device->name(),
                shown.error().to_string());
    }
  }
}

void SetReset::wait_for_all(Attempt& attempt) {
  const milliseconds since = clock_.now();  // one deadline: they were reset together
  show_audio_functions(attempt, since);
  for (const PlannedFunction& function : set_.functions) {
    const Status ready = wait_for(function, attempt, since);
    if (!ready) {
      attempt.has_lost_function = true;
      attempt.is_link_at_fault = true;
      attempt.faults.push_back(ready.error().to_string());
    }
  }
}

void SetReset::check_all(Attempt& attempt, ResetMethod method) {
  for (const PlannedFunction& function : set_.functions) {
    const Status stopped = stop_decoding(*function.device);
    if (!stopped) {
      attempt.faults.push_back(stopped.error().to_string());
    }
    CheckFindings found = check_function(*function.device, function.before, *function.policy,
                                         clock_, {.link_speed = is_of_link(method)});
    attempt.is_link_at_fault = attempt.is_link_at_fault || found.is_link_narrow;
    attempt.has_lost_registers = attempt.has_lost_registers || found.has_lost_registers;
    attempt.bars.add(found.bars);
    std::move(found.faults.begin(), found.faults.end(), std::back_inserter(attempt.faults));
    std::move(found.oddities.begin(), found.oddities.end(), std::back_inserter(attempt.oddities));
  }
}

Attempt SetReset::attempt(ResetMethod method) {
  Attempt attempt;
  attempt.patience = plan_.options().ready_timeout;
  quiesce_all(attempt);
  if (method == ResetMethod::kFunctionReset) {
    reset_functions(attempt);
  } else if (method == ResetMethod::kHotReset) {
    reset_slot(attempt);
  } else if (method == ResetMethod::kLinkRetrain) {
    retrain_link(attempt);
  }
  // Also after a reset that failed: the next method must not meet a device that is half awake.
  wait_for_all(attempt);
  if (attempt.faults.empty()) {
    clock_.sleep(set_.settle);
    check_all(attempt, method);
  }
  return attempt;
}

ResetCertificate SetReset::certify(ResetMethod method, milliseconds start,
                                   const Attempt& attempt) const {
  ResetCertificate certificate;
  certificate.functions = set_.names();
  certificate.names = names_of(set_);
  certificate.method = method;
  certificate.duration = clock_.now() - start;
  certificate.did_not_help = did_not_help_;
  certificate.bars = attempt.bars;
  certificate.verdict = attempt.is_partial             ? ResetVerdict::kPartial
                        : method == ResetMethod::kNone ? ResetVerdict::kUnreset
                                                       : ResetVerdict::kVerified;
  certificate.text = fmt::format("{} of {} in {} ms, {}", to_string(method), set_.names(),
                                 certificate.duration.count(), to_string(certificate.verdict));
  for (const std::string& oddity : attempt.oddities) {
    add_sentence(certificate.text, oddity);
  }
  if (!history_.empty()) {
    add_sentence(certificate.text, "before that: " + history_);
  }
  return certificate;
}

ResetCertificate SetReset::refuse(milliseconds start, std::string text) const {
  ResetCertificate certificate;
  certificate.functions = set_.names();
  certificate.names = names_of(set_);
  certificate.method = last_tried_;
  certificate.duration = clock_.now() - start;
  certificate.verdict = ResetVerdict::kFailed;
  certificate.did_not_help = did_not_help_;
  certificate.has_lost_registers = has_lost_registers_;
  certificate.text = std::move(text);
  return certificate;
}

/// What the user can do, by what is known of the cause: a host needs no reboot because it has taken
/// its own card away.
std::string SetReset::cure() const {
  const auto any = [this](bool (PhysicalDevice::*is_so)() const) {
    return std::any_of(
        set_.functions.begin(), set_.functions.end(),
        [is_so](const PlannedFunction& function) { return (function.device->*is_so)(); });
  };
  if (any(&PhysicalDevice::is_gone)) {
    return "Start again what served it";
  }
  if (any(&PhysicalDevice::is_withheld)) {
    return fmt::format(
        "The host is taking it away (removed, unplugged or asked for by its driver), so nothing "
        "says that it is broken: once this gpuvm has ended and the card is back (a removed one by "
        "`echo 1 >/sys/bus/pci/rescan`), `gpuvm reset {}` or the next guest resets and checks it",
        space_separated(set_));
  }
  if (has_lost_registers_) {
    return fmt::format(
        "The host must find it anew: `gpuvm reset --first rescan {}`, which the next start with it "
        "does by itself. If it happens again, look for what takes its power or resets it",
        space_separated(set_));
  }
  return has_lost_function_
             ? fmt::format(
                   "Switch the host off and on again; a warm reboot may not be enough. Where its "
                   "slot or enclosure was without power, give it power, and `gpuvm reset --first "
                   "rescan {}`",
                   space_separated(set_))
             : "Reboot the host; if it happens again, switch the host off and on again";
}

std::string SetReset::failure() const {
  return fmt::format("{} did not come back from its reset: {}. {}", set_.names(), history_, cure());
}

ResetCertificate SetReset::run() {
  const milliseconds start = clock_.now();
  if (set_.rungs.empty()) {
    // What can be done without a reset is done all the same: no DMA, no interrupts.
    Attempt nothing;
    quiesce_all(nothing);
    return refuse(start, no_reset_error(set_).to_string());
  }
  for (const ResetMethod method : set_.rungs) {
    if (is_pointless(method)) {
      continue;
    }
    last_tried_ = method;
    const Attempt result = attempt(method);
    if (result.faults.empty()) {
      return certify(method, start, result);
    }
    has_lost_function_ = result.has_lost_function;
    has_lost_registers_ = result.has_lost_registers;
    is_link_at_fault_ = result.is_link_at_fault || !result.has_begun;
    if (result.has_begun) {
      did_not_help_.push_back(method);
    }
    std::string faults;
    for (const std::string& fault : result.faults) {
      add_sentence(faults, fault);
    }
    add_sentence(history_, std::string(to_string(method)) + ": " + faults);
    if (may_tell()) {
      log::warn("{} of {} was not enough: {}", to_string(method), set_.names(), faults);
    }
  }
  return refuse(start, failure());
}

}  // namespace

std::string_view to_string(ResetVerdict verdict) {
  switch (verdict) {
    case ResetVerdict::kVerified:
      return "verified";
    case ResetVerdict::kPartial:
      return "partly reset and verified";
    case ResetVerdict::kUnreset:
      return "not reset, but checked";
    case ResetVerdict::kFailed:
      return "failed";
  }
  return "unknown";
}

void ResetCertificate::inspect(InspectNode& node) const {
  node.field("functions", functions);
  node.field("method", to_string(method));
  node.field("verdict", to_string(verdict));
  node.field("duration_ms", static_cast<std::uint64_t>(duration.count()));
  if (is_safe()) {
    node.field("bars", bars.to_text());
  }
  if (!scrub.empty()) {
    node.field("scrub", scrub);
  }
  node.field("text", text);
}

std::vector<ResetCertificate> reset_all(PhysicalHost& host, const ResetPlan& plan,
                                        const ResetClock& clock, log::RateLimit* limit) {
  // The sets are independent, and most of a reset is waiting: all at once.
  std::vector<std::future<ResetCertificate>> running;
  for (const ResetSet& set : plan.sets()) {
    running.push_back(start_async(clock.policy, [&host, &set, &plan, &clock, limit] {
      return SetReset(host, set, plan, clock, limit).run();
    }));
  }
  std::vector<ResetCertificate> certificates;
  certificates.reserve(running.size());
  for (auto& set : running) {
    certificates.push_back(set.get());
  }
  return certificates;
}

Status check_all_safe(std::span<const ResetCertificate> certificates) {
  std::string refusals;
  for (const ResetCertificate& certificate : certificates) {
    if (!certificate.is_safe()) {
      refusals += (refusals.empty() ? "" : ". Also: ") + certificate.text;
    }
  }
  return refusals.empty() ? Status() : Status(Error(ErrorKind::kUnsafeDevice, refusals));
}

}  // namespace gpuvm
