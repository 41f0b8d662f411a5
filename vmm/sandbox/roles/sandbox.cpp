// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/sandbox.hpp"

#include <linux/capability.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <future>
#include <optional>
#include <thread>

#include "vmm/base/async.hpp"
#include "vmm/base/output_file.hpp"
#include "vmm/base/text.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/sandbox/filter.hpp"
#include "vmm/sandbox/roles/call_log.hpp"
#include "vmm/sandbox/roles/hostile.hpp"
#include "vmm/sandbox/roles/role_tables.hpp"
#include "vmm/sandbox/roles/trap_handler.hpp"

namespace gpuvm::sandbox {
namespace {

struct State {
  Policy policy = {};
  TrapSetup trap = {};
  std::array<Filter, kAllRoles.size()> filters = {};
  std::array<Confinement, kAllRoles.size()> confinements = {};
  UniqueFd event = {};
  UniqueFd call_log = {};
  std::uint32_t taken = 0;  ///< violations that were told
};

/// Filled by prepare(), before there are threads; the handler of SIGSYS has no other way to it.
State& state() {
  static State instance;
  return instance;
}

std::atomic<Mode>& current_mode() {
  static std::atomic<Mode> instance{Mode::kOff};
  return instance;
}

Status open_call_log(State& made, const std::string& path) {
  if (path.empty()) {
    return {};
  }
  made.call_log =
      TRY_CONTEXT(open_output(path, {.stream = false, .mode = 0600, .kind = ErrorKind::kConfig}),
                  "sandbox.log");
  return {};
}

/// Each call touches what is the role's alone.
Status make_filter(State& made, ThreadRole role) {
  auto rows = all_rows(role, made.policy.has_owner);
  Filter& filter = made.filters.at(index_of(role));
  if (made.policy.mode == Mode::kLog) {
    filter = log_filter();
  } else {
    filter = TRY_CONTEXT(Filter::create(rows, Refusal::kTrap), to_string(role).data());
  }
  made.trap.rows.at(index_of(role)) = std::move(rows);
  return {};
}

/// On a few threads, because it is what the start of a guest without devices takes longest for.
/// They have ended when this returns.
Status make_filters(State& made) {
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
  std::array<Status, kAllRoles.size()> outcomes;
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < kAllRoles.size(); i = next++) {
      outcomes.at(i) = make_filter(made, kAllRoles.at(i));
    }
  };
  std::vector<std::future<void>> others;
  for (unsigned i = 1; i < threads; ++i) {
    others.push_back(start_async(std::launch::async, work));
  }
  work();
  for (auto& other : others) {
    other.get();
  }
  for (Status& outcome : outcomes) {
    TRY(std::move(outcome));
  }
  return {};
}

/// What a library opens once, and would open with a filter otherwise.
void warm_up() {
  const std::time_t now = 0;
  std::tm parts{};
  ::localtime_r(&now, &parts);  // /etc/localtime, for the time in log files
}

/// What root needs to read and write sysfs, /run/gpuvm and files of others, and to lock memory; not
/// what reaches the kernel past files (/proc/kcore), other processes, users or networks.
constexpr Capabilities kOfFiles = capability(CAP_CHOWN) | capability(CAP_DAC_OVERRIDE) |
                                  capability(CAP_DAC_READ_SEARCH) | capability(CAP_FOWNER) |
                                  capability(CAP_FSETID) | capability(CAP_SYS_RESOURCE);
constexpr Capabilities kOfDevices =
    kOfFiles | capability(CAP_SYS_ADMIN) | capability(CAP_IPC_LOCK) | capability(CAP_SYS_NICE);

/// A capability that a role has a use for.
Capabilities kept_by(ThreadRole role, const Policy& policy) {
  if (role == ThreadRole::kMemory) {  // memory for devices is locked; its threads are idle ones
    return capability(CAP_IPC_LOCK) | capability(CAP_SYS_NICE);
  }
  if (role == ThreadRole::kWatcher) {
    // Programs may run as another user, and have the limits of their files raised.
    return capability(CAP_KILL) | capability(CAP_SYS_RESOURCE);
  }
  if (!opens_files(role, policy.has_owner)) {
    const bool maps_memory = role == ThreadRole::kWorker && policy.has_late_cards;
    return maps_memory ? capability(CAP_IPC_LOCK) : 0;
  }
  return role == ThreadRole::kVariables ? kOfFiles : kOfDevices;
}

Plan plan_of(ThreadRole role, const Policy& policy) {
  Plan plan;
  plan.empty_root = policy.has_owner;
  plan.identity = policy.has_owner ? policy.identity : std::nullopt;
  plan.kept = kept_by(role, policy);
  if (opens_files(role, policy.has_owner)) {
    plan.paths = role == ThreadRole::kVariables ? policy.variable_paths : policy.worker_paths;
  }
  return plan;
}

/// Log mode changes nothing but who carries calls out.
Status make_confinements(State& made) {
  for (const ThreadRole role : kAllRoles) {
    auto& confinement = made.confinements.at(index_of(role));
    confinement = Confinement();
    if (made.policy.mode == Mode::kOn) {
      confinement = TRY(Confinement::create(plan_of(role, made.policy)));
    }
  }
  return {};
}

void unblock_trap() {
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, SIGSYS);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
}

/// 0 or errno. The filter comes whatever became of the rest: the thread goes on until the guest has
/// been ended.
int take_on(const State& now, ThreadRole role) {
  const int confined = now.policy.mode == Mode::kOn ? now.confinements[index_of(role)].enter() : 0;
  const int filtered = now.filters[index_of(role)].install();
  return confined != 0 ? confined : filtered;
}

/// Why layers that only a monitor of an owner has are not there.
void add_missing(Layers& layers, const Policy& policy) {
  constexpr const char* kOwnerIsHere = "this process gives devices and files back itself";
  if (!policy.has_owner) {
    layers.all.push_back({.name = "root", .in_force = false, .detail = kOwnerIsHere});
  }
  if (!policy.has_owner || !policy.identity) {
    layers.all.push_back({.name = "user",
                          .in_force = false,
                          .detail = policy.has_owner ? "sandbox.user is \"\"" : kOwnerIsHere});
  }
}

/// A process of its own that has the devices when this one is gone, or why there is none.
void add_owner(Layers& layers, const Policy& policy) {
  if (!policy.why_owner.empty()) {
    layers.all.push_back(
        {.name = "owner", .in_force = policy.has_owner, .detail = policy.why_owner});
  }
}

Layer filter_layer(Mode mode) {
  Layer layer;
  layer.name = "seccomp";
  layer.in_force = mode == Mode::kOn;
  layer.detail = mode == Mode::kOn    ? fmt::format("{} roles", kAllRoles.size())
                 : mode == Mode::kLog ? "sandbox.mode is \"log\": calls are noted, none refused"
                                      : "sandbox.mode is \"off\"";
  return layer;
}

}  // namespace

Status prepare(const Policy& policy) {
  current_mode() = Mode::kOff;
  State& made = state();
  made.policy = policy;
  if (policy.mode == Mode::kOff) {
    return {};
  }
  TRY(check_seccomp());
  made.taken = 0;
  TRY(open_call_log(made, policy.call_log));
  TRY(make_filters(made));
  TRY(make_confinements(made));
  made.event.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  made.trap.notes = make_trap_notes();
  if (!made.event || made.trap.notes == nullptr) {
    return fail_errno(ErrorKind::kHost, "Cannot prepare the sandbox");
  }
  made.trap.logs = policy.mode == Mode::kLog;
  made.trap.writes_line = policy.writes_line;
  made.trap.event = made.event.get();
  warm_up();
  allow_usual_priority();  // of threads that prepare memory, which others make hurry
  TRY(install_trap_handler(made.trap));
  current_mode() = policy.mode;
  return {};
}

Mode mode() {
  return current_mode();
}

void enter(ThreadRole role) {
  if (mode() == Mode::kOff) {
    act_hostile(role);
    return;
  }
  const State& now = state();
  if (const auto has = thread_role()) {
    if (*has != role) {
      tell_violation(now.trap, role, -1, 0, EALREADY);
    }
    return;
  }
  set_thread_identity(role);
  unblock_trap();
  unblock_trap_in_handlers();
  now.trap.notes->entered.at(index_of(role)).fetch_add(1);
  if (const int error = take_on(now, role); error != 0) {
    tell_violation(now.trap, role, -1, 0, error);
  }
  act_hostile(role);
}

bool has_entered(ThreadRole role) {
  return mode() != Mode::kOff && thread_role() == role;
}

void inherit(ThreadRole role, std::string_view name) {
  set_thread_identity(role, name);
  state().trap.notes->entered.at(index_of(role)).fetch_add(1);
}

int violation_event() {
  return mode() == Mode::kOn ? state().event.get() : -1;
}

std::string Violation::text() const {
  if (number < 0) {
    return fmt::format("Thread {} cannot take on the sandbox's role {}: {}", thread,
                       to_string(role), fail_errno(ErrorKind::kHost, "", error).message());
  }
  const std::string what = call.empty() ? "without a name" : call;
  return fmt::format(
      "Thread {} (role {}) made the forbidden system call {} ({}), second argument {:#x}: a fault "
      "of gpuvm, or of a guest that has taken the thread over",
      thread, to_string(role), what, number, argument);
}

std::vector<Violation> take_violations() {
  std::vector<Violation> all;
  State& now = state();
  if (mode() == Mode::kOff) {
    return all;
  }
  const auto count =
      std::min<std::uint32_t>(now.trap.notes->violations.load(), TrapNotes::kViolations);
  for (; now.taken < count; ++now.taken) {
    const ViolationNote& note = now.trap.notes->violation.at(now.taken);
    if (note.is_whole.load(std::memory_order_acquire) == 0) {
      break;  // it is being written
    }
    Violation violation;
    violation.role = note.role < kAllRoles.size() ? kAllRoles.at(note.role) : ThreadRole::kControl;
    violation.thread = escaped_line(
        std::string(note.thread.data(), ::strnlen(note.thread.data(), note.thread.size())));
    violation.number = static_cast<long>(note.number);
    violation.call = now.trap.names.of(violation.number);
    violation.argument = note.argument;
    violation.error = note.error;
    all.push_back(std::move(violation));
  }
  return all;
}

Layers confine_all() {
  Layers layers;
  layers.all.push_back(filter_layer(mode()));
  const State& now = state();
  if (mode() != Mode::kOn) {
    add_owner(layers, now.policy);
    return layers;
  }
  const Layers& of_roles = now.confinements.at(index_of(ThreadRole::kVcpu)).layers();
  layers.all.insert(layers.all.end(), of_roles.all.begin(), of_roles.all.end());
  add_missing(layers, now.policy);
  for (Layer& layer : confine_process()) {
    layers.all.push_back(std::move(layer));
  }
  add_owner(layers, now.policy);
  return layers;
}

Status finish() {
  if (mode() != Mode::kLog) {
    return {};
  }
  const State& now = state();
  return write_call_log(now.trap, now.call_log.get());
}

}  // namespace gpuvm::sandbox
