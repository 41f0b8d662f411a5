// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/control_loop.hpp"

#include <csignal>
#include <exception>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/machine/run/control_state.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm {

namespace asio = boost::asio;

namespace {

constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP};

/// An exception (no memory for the kernel's file) must not leave the worker: devices would be left
/// as they are.
Status do_job(const std::function<Status()>& job) {
  try {
    return job();
  } catch (const std::exception& error) {
    return fail(ErrorKind::kInternal, "{}", error.what());
  }
}

}  // namespace

ControlLoop::Impl::Impl(Options wanted, GuestEvents& machine_events)
    : options(std::move(wanted)),
      events(machine_events),
      signals(context, SIGINT, SIGTERM),
      grace(context) {
  signals.add(SIGUSR1);
  signals.add(SIGUSR2);
  struct sigaction hangup {};
  if (::sigaction(SIGHUP, nullptr, &hangup) != 0 || hangup.sa_handler != SIG_IGN) {
    signals.add(SIGHUP);  // the terminal is gone; nohup(1) ignores it
  }
  signals.add(SIGRTMIN + 4);             // machinectl poweroff (systemd(1)): as SIGTERM
  sigset_t held = requests_by_signal();  // now there is who takes them
  for (const int number : kEndingSignals) {
    ::sigaddset(&held, number);  // since a wait for a card (vmm/cards), or by a job
  }
  ::pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
  event_number = events.add([this](const GuestEvent& event) {
    if (const auto* change = std::get_if<StateChange>(&event.what)) {
      state = change->to;
    }
    asio::post(context, [this, event] { tell_subscribers(event); });
  });
  wait_for_signal();
}

ControlLoop::Impl::~Impl() {
  if (options.holds_ending_signals) {
    sigset_t held{};
    ::sigemptyset(&held);
    for (const int number : kEndingSignals) {
      ::sigaddset(&held, number);
    }
    ::pthread_sigmask(SIG_BLOCK, &held, nullptr);
  }
  events.remove(event_number);
}

void ControlLoop::Impl::begin(Work next, std::function<Status()> job) {
  worker.post([this, job = std::move(job)] {
    const Status status = do_job(job);
    insist([this, &status] { asio::post(context, [this, status] { end_work(status); }); });
  });
  work = next;  // now, or who could not be given it would be waited for
}

void ControlLoop::Impl::end_work(const Status& status) {
  const Work done = std::exchange(work, Work::kNone);
  switch (done) {
    case Work::kNone:
      break;
    case Work::kBuild:
      end_build(status);
      break;
    case Work::kPowerOn:
      end_power_on(status);
      break;
    case Work::kReboot:
      end_reboot(status);
      break;
    case Work::kPause:
      is_paused = status.has_value();
      break;
    case Work::kResume:
      end_resume(status);
      break;
    case Work::kAsk:
      end_ask(status);
      break;
    case Work::kAttach:
      end_attach(status);
      break;
    case Work::kTakeOut:
      break;
    case Work::kStop:
      end_stop(status);
      break;
  }
  const bool is_overtaken = status && result && done == Work::kReboot;  // nobody runs
  answer(is_overtaken ? Status(wrong_state()) : status);
  proceed();
}

/// What went wrong is more than that somebody has left meanwhile.
void ControlLoop::Impl::end_build(const Status& status) {
  if (!status && (status.error().kind() != ErrorKind::kCancelled || !result)) {
    result.reset();
    finish(Error(status.error()));
    return;
  }
  is_built = status.has_value();
  if (result) {
    return;
  }
  if (options.on_built) {
    options.on_built();
  }
  begin(Work::kPowerOn, [this] {
    if (options.before_guest) {
      options.before_guest();
    }
    return machine->power_on([this] { return is_unwanted.load(); });
  });
}

void ControlLoop::Impl::end_power_on(const Status& status) {
  is_running = status.has_value();
  backoff.begin(RebootBackoff::Clock::now());
  if (!status && (status.error().kind() != ErrorKind::kCancelled || !result)) {
    finish(Error(status.error()));
  }
}

/// The worker is free: what comes next?
void ControlLoop::Impl::proceed() {
  while (work == Work::kNone && machine != nullptr && !is_over) {
    if (result) {
      refuse_all();
      begin_stop();
    } else if (is_card_due()) {
      begin_take_out();
    } else if (next_reset != nullptr && is_running && !is_paused) {
      handle_reset(std::exchange(next_reset, nullptr));
    } else if (!waiting.empty()) {
      Request next = std::move(waiting.front());
      waiting.pop_front();
      carry_out(std::move(next));
    } else {
      return;
    }
  }
  if (is_resting) {
    answer_at_rest();
  }
}

/// The first reason for an end is the one that counts.
void ControlLoop::Impl::finish(RunEnd how, int exit_status, std::optional<Error> error) {
  is_unwanted = true;
  if (machine != nullptr) {
    machine->break_off();
  }
  if (!result) {
    result = RunResult{.end = how, .exit_status = exit_status, .error = std::move(error)};
  }
  proceed();
}

/// Any thread. A guest that resets tries several ways one after the other, and goes on until its
/// vCPUs stop: what it wished in a former life is void. One that is paused meanwhile stays paused.
void ControlLoop::Impl::post_reset(const char* why) {
  asio::post(context, [this, why, wished_in = life.load()] {
    if (machine == nullptr || result || wished_in != life || ending_life == wished_in) {
      return;
    }
    next_reset = why;
    proceed();
  });
}

void ControlLoop::Impl::handle_reset(const char* why) {
  if (options.on_reboot == RebootAction::kReset && !end_asked && !leaving.empty()) {
    next_reset = why;  // once the cards are out that it was asked for
    hurry_cards();
    return;
  }
  log::info("The guest resets ({})", why);
  if (options.on_reboot == RebootAction::kExit) {
    finish(RunEnd::kGuestReset, kExitGuestReset);
  } else if (end_asked) {
    log::info("It was asked to end, and is not started again");
    finish(RunEnd::kEndedForced, status_if_forced);
  } else {
    begin_reboot(wait_of_reboot());
  }
}

void ControlLoop::Impl::begin_reboot(std::chrono::seconds wait) {
  ending_life = life.load();
  next_reset = nullptr;
  is_resting = wait.count() > 0;
  begin(Work::kReboot, [this, wait] {
    machine->stop_vcpus();
    rest(wait);
    ++life;  // before the next life, whose guest may reset at once
    return machine->reboot([this] { return is_unwanted.load(); });
  });
}

void ControlLoop::Impl::end_reboot(const Status& status) {
  ending_life.reset();
  slots_without_power.clear();
  backoff.begin(RebootBackoff::Clock::now());
  if (!status) {
    finish(Error(status.error()).with_context("Guest reset"));
  } else if (end_asked) {
    finish(RunEnd::kEndedForced, status_if_forced);
  }
}

void ControlLoop::Impl::end_resume(const Status& status) {
  is_paused = false;
  if (!status) {
    finish(Error(status.error()).with_context("Resuming the guest"));
  }
}

void ControlLoop::Impl::begin_stop() {
  grace.cancel();
  begin(Work::kStop, [this] { return machine->stop(); });
}

void ControlLoop::Impl::end_stop(const Status& status) {
  if (!status && is_built) {
    stop_error = status.error();
  } else if (!status) {  // of what a failed start left; why it failed is what the user needs
    log::error("{}", status.error().to_string());
  }
  is_over = true;
  refuse_cards();
  for (const Done& done : std::exchange(stop_answers, {})) {
    done(status);
  }
  refuse_all();
  context.stop();
}

RunResult ControlLoop::Impl::take_result() {
  RunResult outcome = std::move(result).value_or(RunResult{});
  WorstError errors;
  for (auto& error : {outcome.error, stop_error}) {
    if (error) {
      errors.add(Error(*error));
    }
  }
  if (auto worst = errors.take(); !worst) {
    outcome.exit_status = exit_status(worst.error().kind());
    outcome.error = std::move(worst).error();
  }
  outcome.reboots = life;
  outcome.signal = signalled ? signalled->first : 0;
  return outcome;
}

RunResult ControlLoop::Impl::run(GuestMachine& what) {
  machine = &what;
  {
    const MutexLock lock(machine_mutex);
    shown_machine = &what;
  }
  auto guard = asio::make_work_guard(context);
  begin(Work::kBuild, [this]() -> Status {
    TRY(worker.check());
    return machine->build([this] { return is_unwanted.load(); });
  });
  // An exception (no memory) must not leave this thread: devices would be left as they are.
  while (const auto thrown = thrown_by([this] { context.run(); })) {
    log::error("The control thread cannot go on: {}", *thrown);
    finish(gpuvm::fail(ErrorKind::kInternal, "The control thread cannot go on: {}", *thrown));
  }
  {
    const MutexLock lock(mailbox_mutex);
    is_closed = true;
  }
  take_mail();  // is refused: the guest has ended
  machine = nullptr;
  const MutexLock lock(machine_mutex);
  shown_machine = nullptr;
  return take_result();
}

ControlLoop::ControlLoop(Options options, GuestEvents& events)
    : impl_(std::make_unique<Impl>(std::move(options), events)) {}

ControlLoop::~ControlLoop() = default;

asio::io_context& ControlLoop::context() {
  return impl_->context;
}

MachineRequests ControlLoop::requests() {
  Impl* impl = impl_.get();
  return {.power_off =
              [impl] {
                asio::post(impl->context, [impl] {
                  if (!impl->result) {
                    log::info("The guest powers off");
                    impl->finish(RunEnd::kPoweredOff, 0);
                  }
                });
              },
          .reset = [impl] { impl->post_reset("reset register"); },
          .exit =
              [impl](std::uint32_t status) {
                asio::post(impl->context, [impl, status] { impl->handle_exit(status); });
              },
          .panic =
              [impl](GuestPanic panic) {
                asio::post(impl->context, [impl, panic] { impl->handle_panic(panic); });
              }};
}

void ControlLoop::vcpu_ended(VcpuEvent event, const std::string& failure) {
  Impl* impl = impl_.get();
  if (event == VcpuEvent::kShutdown) {
    impl->post_reset("triple fault");
    return;
  }
  const bool is_given_up = event == VcpuEvent::kGivenUp;  // the guest or KVM, not we
  const auto kind = event == VcpuEvent::kMemoryGone ? ErrorKind::kUnsafeDevice
                    : is_given_up                   ? ErrorKind::kHost
                                                    : ErrorKind::kInternal;
  const auto end = is_given_up ? RunEnd::kGivenUp : RunEnd::kFailed;
  asio::post(impl->context, [impl, kind, end, failure, failed_in = impl->life.load()] {
    // Else it was of a guest that has reset since, or is about to be reset.
    if (failed_in == impl->life && impl->ending_life != failed_in) {
      impl->finish(end, exit_status(kind), Error(kind, failure));
    }
  });
}

void ControlLoop::fail(Error error) {
  asio::post(impl_->context,
             [impl = impl_.get(), error = std::move(error)] { impl->finish(error); });
}

void ControlLoop::ask_for_end(int status_if_forced) {
  impl_->ask_for_end(status_if_forced);
}

void ControlLoop::ask_once_for_end(int status_if_forced) {
  if (!impl_->end_asked) {
    impl_->ask_for_end(status_if_forced);
  }
}

void ControlLoop::ask_worker(std::function<void()> answer) {
  impl_->worker.post([impl = impl_.get(), answer = std::move(answer)] {
    insist([impl, &answer] { asio::post(impl->context, answer); });
  });
}

RunResult ControlLoop::run(GuestMachine& machine) {
  return impl_->run(machine);
}

}  // namespace gpuvm
