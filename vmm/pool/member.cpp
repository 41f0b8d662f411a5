// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/member.hpp"

#include <poll.h>

#include <array>
#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/containment/sandbox_guard.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/machine/owner/owned_run.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::pool {
namespace {

/// For whoever does not read; the guest does not wait for him.
constexpr std::chrono::milliseconds kPatience{0};

MemberWord ended(const RunResult& result) {
  return {.kind = MemberWord::Kind::kEnded, .result = result};
}

RunResult failed_start(const Error& error) {
  RunResult result;
  result.end = RunEnd::kFailed;
  result.exit_status = exit_status(error.kind());
  result.error = error;
  return result;
}

GuestControl::Done note(const char* what) {
  return [what](const Status& status) {
    if (!status) {
      log::debug("{}: {}", what, status.error().to_string());
    }
  };
}

}  // namespace

Result<std::unique_ptr<Member>> Member::start(UniqueFd lease) {
  auto stop = TRY(EventFd::create());
  std::unique_ptr<Member> member(new Member(std::move(lease), std::move(stop)));
  try {
    member->thread_ = std::thread([raw = member.get()] {
      enter_background_thread("lease");
      sandbox::enter(sandbox::ThreadRole::kJob);
      if (const auto thrown = thrown_by([raw] { raw->run(); })) {
        log::error("The guest's lease is not heard any more, and it ends: {}", *thrown);
        raw->end_guest();
      }
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost, "Cannot start the thread of a guest's lease: {} (`ulimit -u`)",
                error.what());
  }
  return member;
}

Member::~Member() {
  stop_.signal();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Member::listen(RunOptions& run) {
  run.observers.push_back([this](const GuestEvent& what) { event(what); });
  run.on_control = [this](GuestControl& control) {
    const MutexLock lock(mutex_);
    control_ = &control;
    if (is_unwanted_) {
      control.stop(note("Stopping the guest"));
    }
  };
  run.on_control_over = [this] {
    const MutexLock lock(mutex_);
    control_ = nullptr;
    begin_anew_ = nullptr;
  };
  run.on_warm = [this](BeginAnew begin_anew) {
    const MutexLock lock(mutex_);
    begin_anew_ = std::move(begin_anew);
  };
}

void Member::say(const MemberWord& word) const {
  if (const auto sent = send_line(lease_.get(), to_line(word), kPatience); !sent) {
    log::debug("{}", sent.error().to_string());
  }
}

void Member::run() {
  while (true) {
    std::array<pollfd, 2> waits{};
    waits[0] = {.fd = lease_.get(), .events = POLLIN, .revents = 0};
    waits[1] = {.fd = stop_.fd(), .events = POLLIN, .revents = 0};
    const auto progress = lines_.receive(lease_.get());
    if (progress == LineReceiver::Progress::kMore) {
      ::poll(waits.data(), waits.size(), -1);
      if (waits[1].revents != 0) {
        return;
      }
      continue;
    }
    const auto word =
        progress == LineReceiver::Progress::kLine ? read_lease_word(lines_.line()) : std::nullopt;
    if (!word) {
      log::debug("Nobody has the guest's lease any more: it ends");
      end_guest();
      return;
    }
    obey(*word);
  }
}

/// Calls of the control return at once, and their answers come on the control thread.
void Member::obey(const LeaseWord& word) {
  const MutexLock lock(mutex_);
  if (control_ == nullptr) {
    return;  // it has ended
  }
  switch (word.kind) {
    case LeaseWord::Kind::kGo:
      if (is_waiting_ && begin_anew_) {
        is_waiting_ = false;  // once: whoever has gone on is nobody else's
        begin_anew_(word.words, [this](const Status& status) { begun(status); });
      }
      break;
    case LeaseWord::Kind::kPressPowerButton:
      control_->press_power_button(note("The power button"));
      break;
    case LeaseWord::Kind::kStop:
      control_->stop(note("Stopping the guest"));
      break;
  }
}

/// On the control thread.
void Member::begun(const Status& status) {
  const auto answer = [this](const Status& outcome) {
    MemberWord word;
    word.kind = outcome ? MemberWord::Kind::kRuns : MemberWord::Kind::kRefused;
    if (!outcome) {
      word.result.error = outcome.error();
    }
    say(word);
  };
  if (!status) {
    answer(status);
    return;
  }
  const MutexLock lock(mutex_);
  if (control_ == nullptr) {
    return;
  }
  if (control_->state() == LifecycleState::kRunning) {  // by somebody who steers it
    answer({});
  } else {
    control_->resume(answer);
  }
}

void Member::end_guest() {
  const MutexLock lock(mutex_);
  is_unwanted_ = true;
  if (control_ != nullptr) {
    control_->stop(note("Stopping the guest"));
  }
}

/// The guest's agent says by the status port that it waits: from here on its vCPUs rest.
void Member::event(const GuestEvent& event) {
  const auto* const word = std::get_if<GuestWord>(&event.what);
  if (word == nullptr || word->word != "ready" || word->channel != "status_port") {
    return;
  }
  const MutexLock lock(mutex_);
  if (control_ == nullptr || std::exchange(has_waited_, true)) {
    return;  // what a job says is its own
  }
  is_waiting_ = true;
  control_->pause([this](const Status& status) {
    if (status) {
      say({.kind = MemberWord::Kind::kReady});
    } else {
      log::warn("The guest said that it waits, and cannot rest: {}", status.error().to_string());
      end_guest();
    }
  });
}

namespace {

/// As `gpuvm run` does it.
RunResult run_guest(const MemberOptions& options, Member& member, Owner* owner) {
  RunOptions run;
  run.config_file = options.config_file;
  run.owner = owner;
  member.listen(run);
  return run_machine(options.config, run);
}

Result<int> run_split(MemberOptions& options) {
  const auto split = TRY(split_run(options.config));  // before there are threads
  if (split.exit_status) {
    MemberWord word{.kind = MemberWord::Kind::kOwner};
    word.result.exit_status = *split.exit_status;
    const auto sent = send_line(options.lease.get(), to_line(word), kPatience);
    return sent ? *split.exit_status : exit_status(ErrorKind::kHost);
  }
  TRY(prepare_sandbox(options.config, {.has_owner = split.monitor != nullptr,
                                       .why = split.reason}));  // while there is one thread
  const auto member = TRY(Member::start(std::move(options.lease)));
  const RunResult result = run_guest(options, *member, split.monitor.get());
  member->say(ended(result));
  return result.error ? exit_status(result.error->kind()) : result.exit_status;
}

}  // namespace

int run_member(MemberOptions options) {
  const auto status = run_split(options);
  // The last guest of a pool that was killed removes what that has left.
  remove_dead_socket(options.pool_socket);
  if (status) {
    return *status;
  }
  log::error("{}", status.error().to_string());
  if (options.lease) {
    const auto sent =
        send_line(options.lease.get(), to_line(ended(failed_start(status.error()))), kPatience);
    if (!sent) {
      log::debug("{}", sent.error().to_string());
    }
  }
  return exit_status(status.error().kind());
}

}  // namespace gpuvm::pool
