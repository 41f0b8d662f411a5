// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/machine_reset.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "devices/physical/reset/resizable_bars.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"

namespace gpuvm {
namespace {

/// What is tried with closed functions, in this order.
struct ClosedRung {
  SlotMethod method;
  std::string_view reason;
};
using ClosedRungs = std::array<ClosedRung, 2>;
constexpr ClosedRungs kClosedRungs{
    ClosedRung{SlotMethod::kPower,
               "a locked or hung chip that no reset reaches loses its state without power"},
    ClosedRung{SlotMethod::kRescan,
               "the kernel reads a card anew that it no longer knows as it is: its BARs, its "
               "functions, and the fixes that it makes at enumeration only"},
};

ResetMethod method_of(SlotMethod slot) {
  return slot == SlotMethod::kPower ? ResetMethod::kSlotPower : ResetMethod::kRescan;
}

/// Where BAR registers are gone the rescan is the cure, and power was perhaps the cause.
ClosedRungs closed_rungs(std::span<const ResetCertificate> certificates) {
  ClosedRungs rungs = kClosedRungs;
  if (std::any_of(
          certificates.begin(), certificates.end(),
          [](const ResetCertificate& certificate) { return certificate.has_lost_registers; })) {
    std::swap(rungs.front(), rungs.back());
  }
  return rungs;
}

Status check_all(std::span<const SlotCycle> slots, SlotMethod method) {
  for (const SlotCycle& slot : slots) {
    TRY(slot.check(method));
  }
  return {};
}

/// The one that comes first where nothing is known against it; "" where there is none.
std::string_view usual_method(const ResetPlan& plan, const ResetCertificate& certificate) {
  for (const ResetSet& set : plan.sets()) {
    if (set.names() == certificate.functions && !set.rungs.empty()) {
      return to_string(set.rungs.front());
    }
  }
  return {};
}

bool ends_use(ResetReason reason) {
  return reason == ResetReason::kStop || reason == ResetReason::kRepair;
}

ResetWish wish_of(ResetReason reason) {
  switch (reason) {
    case ResetReason::kReboot:
      return ResetWish::kReboot;
    case ResetReason::kStop:
      return ResetWish::kNextUser;
    case ResetReason::kStart:
    case ResetReason::kRepair:
      break;
  }
  return ResetWish::kMachine;
}

Result<FunctionState> read_when_ready(PhysicalDevice& device) {
  const auto clock = ResetClock::real();
  if (!wait_until_ready(device, clock, std::chrono::milliseconds(0))) {
    constexpr auto kLimit = ResetOptions{}.ready_timeout;
    log::info("{} does not answer yet; waiting up to {} s", device.name(),
              std::chrono::duration_cast<std::chrono::seconds>(kLimit).count());
    TRY(wait_until_ready(device, clock, kLimit));
  }
  return read_function_state(device);
}

/// A crash has left the function as it looked with another choice of resize_bar, or in a guest that
/// made one; since then the host's kernel has given its BARs the sizes that they have now.
void take_bar_sizes(PhysicalDevice& device, FunctionState& known) {
  constexpr unsigned kBars = 6;
  for (unsigned bar = 0; bar < kBars; ++bar) {
    known.region_sizes.at(bar) = device.region(bar_region(bar)).size;
  }
  if (const auto codes = read_bar_size_codes(device)) {
    known.bar_size_codes = *codes;
  }
}

}  // namespace

std::string_view to_string(ResetReason reason) {
  switch (reason) {
    case ResetReason::kStart:
      return "start";
    case ResetReason::kReboot:
      return "reboot";
    case ResetReason::kStop:
      return "stop";
    case ResetReason::kRepair:
      return "repair";
  }
  return "unknown";
}

/// The host has just reset them, as VFIO's open does: one may need its time. One that does not
/// answer at all is dirty, whoever had it before; how it looked when it was well stays known.
Status MachineReset::wait_for_devices() {
  DeviceClaims& claims = devices_.claims();
  for (PhysicalDevice* const device : devices_.devices()) {
    if (const auto state = read_when_ready(*device); !state) {
      const auto known = claims.known(device->name());
      TRY(claims.mark_dirty(device->name(), state.error().to_string(),
                            known ? to_text(*known) : ""));
    }
  }
  return {};
}

/// With what the configuration and the time before a crash say of them.
Status MachineReset::enter_devices() {
  for (const auto& function : devices_.functions()) {
    PhysicalDevice& device = function->device();
    FunctionResetOptions options = function->host().reset;
    if (!options.known) {
      options.known = devices_.claims().known(device.name());
    }
    if (options.known && devices_.has_resized(device.name())) {
      take_bar_sizes(device, *options.known);
    }
    TRY(devices_.reset_book().add(device, options));
  }
  return {};
}

Status MachineReset::plan() {
  TRY(wait_for_devices());
  TRY(enter_devices());
  TRY(check_scrubs());
  auto plan = TRY(devices_.reset_book().plan(devices_.devices()));
  for (const ResetSet& set : is_brief_ ? std::span<const ResetSet>() : plan.sets()) {
    if (!set.warning.empty()) {
      log::warn("{}", set.warning);
    }
    if (!set.note.empty()) {
      log::info("{}", set.note);
    }
  }
  const MutexLock lock(mutex_);
  plan_.emplace(std::move(plan));
  return {};
}

std::optional<ResetPlan> MachineReset::known_plan() const {
  const MutexLock lock(mutex_);
  return plan_;
}

Status MachineReset::mark_in_use() {
  const auto plan = known_plan();
  if (!plan) {
    return fail(ErrorKind::kInternal, "Devices are in use before their reset is planned");
  }
  const std::string reason = devices_.claims().owner() + " had it when gpuvm ended";
  for (const ResetSet& set : plan->sets()) {
    for (const PlannedFunction& function : set.functions) {
      TRY(devices_.claims().mark_dirty(function.device->name(), reason, to_text(function.before)));
    }
  }
  return {};
}

Status MachineReset::note(ResetReason reason, const ResetPlan& plan,
                          const ResetCertificate& certificate) {
  if (on_reset_) {
    on_reset_(reason, certificate);
  }
  DeviceClaims& claims = devices_.claims();
  claims.note_reset(to_string(reason), certificate, usual_method(plan, certificate));
  for (const ResetSet& set : plan.sets()) {
    if (certificate.is_safe() || set.names() != certificate.functions) {
      continue;
    }
    for (const PlannedFunction& function : set.functions) {
      TRY(claims.mark_dirty(function.device->name(), certificate.text, to_text(function.before),
                            DirtCause::kFailedReset));
    }
  }
  return certificate.is_safe() && ends_use(reason) ? mark_clean(certificate) : Status();
}

Status MachineReset::mark_clean(const ResetCertificate& certificate) {
  for (const std::string& name : certificate.names) {
    TRY(devices_.claims().mark_clean(name));
  }
  return {};
}

Status MachineReset::release() {
  const auto last_reason = [this] {
    const MutexLock lock(mutex_);
    return last_reason_;
  }();
  if (last_reason == ResetReason::kReboot && is_scrub_owed()) {
    return run(ResetReason::kStop);
  }
  for (const auto& certificate : certificates()) {
    if (certificate.is_safe()) {
      TRY(mark_clean(certificate));
    }
  }
  return {};
}

Status MachineReset::run(ResetReason reason) {
  if (devices_.empty()) {
    return {};
  }
  if (!known_plan()) {
    TRY(plan());
  }
  const ResetPlan plan = *known_plan();
  WorstError errors;  // a mark that cannot be written keeps no device from its reset
  errors.add(mark_in_use());
  auto certificates = devices_.reset_book().reset(plan, ResetClock::real(), wish_of(reason));
  errors.add(scrub(reason, certificates));
  if (!ends_use(reason) && check_all_safe(certificates)) {
    errors.add(owe_scrubs());
  }
  {
    const MutexLock lock(mutex_);
    last_ = certificates;
    last_reason_ = reason;
    ++runs_;
  }
  for (const auto& certificate : certificates) {
    errors.add(note(reason, plan, certificate));
    if (certificate.is_safe()) {
      const auto text = fmt::format("Reset at {}: {}: {}, {}, {} ms", to_string(reason),
                                    certificate.functions, to_string(certificate.method),
                                    to_string(certificate.verdict), certificate.duration.count());
      is_brief_ ? log::debug("{}", text) : log::info("{}", text);
    }
  }
  errors.add(check_all_safe(certificates));
  return errors.take();
}

/// Those for which a reset is wanted and none has helped.
std::vector<MachineReset::FailedSet> MachineReset::failed_sets() const {
  const auto plan = known_plan();
  std::vector<FailedSet> failed;
  for (const ResetCertificate& certificate : certificates()) {
    for (const ResetSet& set : plan ? plan->sets() : std::span<const ResetSet>()) {
      const bool is_wanted = !set.chosen && !set.rungs.empty() && !certificate.is_scrub_at_fault;
      if (!certificate.is_safe() && is_wanted && set.names() == certificate.functions) {
        failed.push_back(
            {.certificate = certificate, .usual = std::string(to_string(set.rungs.front()))});
      }
    }
  }
  return failed;
}

Status MachineReset::recover(ResetReason reason, Status failure) {
  if (failure || failure.error().kind() != ErrorKind::kUnsafeDevice) {
    return failure;
  }
  const auto failed = failed_sets();
  std::vector<std::string> names;
  for (const FailedSet& set : failed) {
    names.insert(names.end(), set.certificate.names.begin(), set.certificate.names.end());
  }
  auto slots = devices_.slots_of(names);
  if (!slots) {
    log::info("No slot power cycle or rescan: {}", slots.error().to_string());
  }
  if (!slots || slots->empty()) {
    return failure;
  }
  std::string history = failure.error().to_string();
  for (const ClosedRung& rung : closed_rungs(certificates())) {
    const auto name = to_string(method_of(rung.method));
    if (const Status possible = check_all(*slots, rung.method); !possible) {
      history += fmt::format(". No {}: {}", name, possible.error().to_string());
      continue;
    }
    log::warn("Trying a {}: {}", name, rung.reason);
    const Status outcome = cycle_and_run(rung.method, *slots, reason, failed);
    if (outcome) {
      return {};
    }
    history += fmt::format(". After a {}: {}", name, outcome.error().to_string());
  }
  return fail(ErrorKind::kUnsafeDevice, "{}", history);
}

Status MachineReset::run_closed(SlotMethod method, ResetReason reason) {
  std::vector<std::string> names;
  for (const auto& function : devices_.functions()) {
    names.push_back(function->name());
  }
  auto slots = TRY(devices_.slots_of(names));
  TRY(check_all(slots, method));
  if (const Status planned = plan(); !planned) {
    log::info("{}", planned.error().to_string());  // it may be what the method cures
  }
  return cycle_and_run(method, slots, reason);
}

/// The plan goes first: it knows the devices that are closed. How they must look, the book keeps.
Status MachineReset::cycle_and_run(SlotMethod method, std::span<SlotCycle> slots,
                                   ResetReason reason, std::span<const FailedSet> failed) {
  if (known_plan()) {
    TRY(mark_in_use());
  }
  ResetCertificate certificate;
  for (const auto& function : devices_.functions()) {
    if (!function->host().is_remote()) {
      certificate.names.push_back(function->name());
      certificate.functions += (certificate.functions.empty() ? "" : ", ") + function->name();
    }
  }
  {
    const MutexLock lock(mutex_);
    plan_.reset();
  }
  const auto start = std::chrono::steady_clock::now();
  Status outcome = devices_.cycle(slots, method);
  if (outcome) {
    outcome = run(reason);
  }
  certificate.method = method_of(method);
  certificate.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  certificate.verdict = outcome ? ResetVerdict::kVerified : ResetVerdict::kFailed;
  certificate.text = outcome ? fmt::format("{} of {} and a reset in {} ms, verified",
                                           to_string(certificate.method), certificate.functions,
                                           certificate.duration.count())
                             : outcome.error().to_string();
  tell_cycle(reason, std::move(certificate), failed);
  return outcome;
}

/// The cards that it was for have it in their histories, not all that were closed for it.
void MachineReset::tell_cycle(ResetReason reason, ResetCertificate certificate,
                              std::span<const FailedSet> failed) {
  if (on_reset_) {
    on_reset_(reason, certificate);
  }
  if (certificate.is_safe()) {
    log::info("{}", certificate.text);
  } else {
    log::warn("A {} of {} was not enough: {}", to_string(certificate.method), certificate.functions,
              certificate.text);
  }
  for (const FailedSet& set : failed) {
    certificate.names = set.certificate.names;
    certificate.functions = set.certificate.functions;
    certificate.did_not_help = set.certificate.did_not_help;
    devices_.claims().note_reset(to_string(reason), certificate, set.usual);
  }
}

std::vector<ResetCertificate> MachineReset::certificates() const {
  const MutexLock lock(mutex_);
  return last_;
}

void MachineReset::inspect(InspectNode& node) const {
  {
    const MutexLock lock(mutex_);
    node.field("runs", runs_);
  }
  if (const auto plan = known_plan()) {
    devices_.reset_book().current(*plan).inspect(node.child("plan"));
  }
  for (const auto& certificate : certificates()) {
    certificate.inspect(node.child("last").child(certificate.functions));
  }
  devices_.reset_book().inspect(node.child("book"));
}

}  // namespace gpuvm
