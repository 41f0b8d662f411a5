// SPDX-License-Identifier: Apache-2.0
#include "vmm/containment/sandbox_guard.hpp"

#include <fcntl.h>

#include <utility>

#include "vmm/base/environment.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/containment/reachable_paths.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

sandbox::Mode mode_of(SandboxMode mode) {
  switch (mode) {
    case SandboxMode::kOn:
      return sandbox::Mode::kOn;
    case SandboxMode::kLog:
      return sandbox::Mode::kLog;
    case SandboxMode::kOff:
      break;
  }
  return sandbox::Mode::kOff;
}

}  // namespace

Status prepare_sandbox(const Config& config, const OwnerKnown& owner) {
  const bool has_owner = owner.has_owner;
  sandbox::Policy policy;
  policy.has_owner = has_owner;
  policy.why_owner = owner.why;
  policy.has_late_cards = has_owner && config.machine.free_ports > 0;
  policy.mode = mode_of(config.sandbox.mode);
  policy.worker_paths = worker_paths(config.boot, has_owner);
  policy.variable_paths = variable_paths(config.boot.vars, has_owner);
  if (!config.sandbox.user.empty()) {
    policy.identity = TRY(sandbox::find_identity(config.sandbox.user, config.sandbox.group));
  }
  policy.call_log = config.sandbox.log;
  policy.writes_line = log::is_plain();
  if (policy.mode != sandbox::Mode::kOff) {
    forget_environment();
  }
  return sandbox::prepare(policy);
}

Result<std::unique_ptr<SandboxGuard>> SandboxGuard::create(boost::asio::io_context& context,
                                                           GuestEvents& events,
                                                           OnViolation on_violation) {
  std::unique_ptr<SandboxGuard> guard(new SandboxGuard(context, events, std::move(on_violation)));
  const int event = sandbox::violation_event();
  if (event < 0) {
    return guard;
  }
  UniqueFd own(::fcntl(event, F_DUPFD_CLOEXEC, 0));
  if (!own) {
    return fail_errno(ErrorKind::kHost, "Cannot watch the sandbox");
  }
  guard->watched_.assign(own.release());
  guard->wait();
  return guard;
}

void SandboxGuard::wait() {
  watched_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (!error) {
                          hear();
                        }
                      });
}

/// The eventfd stays readable: once is enough, and what comes after the first call changes nothing.
void SandboxGuard::hear() {
  for (const sandbox::Violation& violation : sandbox::take_violations()) {
    const std::string text = violation.text();
    if (std::exchange(has_told_, true)) {
      log::error("{}", text);
      continue;
    }
    events_.sandbox({.state = "violated", .text = text});
    on_violation_(Error(ErrorKind::kInternal, text));
  }
}

void SandboxGuard::enter_worker() {
  auto layers = sandbox::confine_all();
  const std::string text = layers.text();
  {
    const MutexLock lock(mutex_);
    layers_ = std::move(layers);
  }
  log::debug("Sandbox: {}", text);
  events_.sandbox({.state = "entered", .text = text});
  sandbox::enter(sandbox::ThreadRole::kWorker);
}

void SandboxGuard::enter_control() {
  sandbox::enter(sandbox::ThreadRole::kControl);
}

void SandboxGuard::finish() {
  if (const auto finished = sandbox::finish(); !finished) {
    log::warn("{}", finished.error().to_string());
  }
}

void SandboxGuard::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  layers_.inspect(node);
}

}  // namespace gpuvm
