// SPDX-License-Identifier: Apache-2.0
// The control loop's signals, who asks a guest to end, or ends it, the guest's own word of its end,
// and how long one that reboots in a loop has to wait.
#include <algorithm>
#include <csignal>
#include <thread>

#include "vmm/base/log.hpp"
#include "vmm/machine/run/control_state.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm {
namespace {

/// For who asked by a signal, which nobody waits for.
GuestControl::Done log_outcome(const char* done, const char* refused) {
  return [done, refused](const Status& status) {
    if (status) {
      log::info("{}", done);
    } else {
      log::warn("{}: {}", refused, status.error().to_string());
    }
  };
}

}  // namespace

void ControlLoop::Impl::ask_for_end(int status) {
  if (is_over) {
    return;
  }
  if (!result && !end_asked) {
    events.end_asked({.signal = signalled ? signalled->first : 0});
  }
  if (result) {
    log::info("The run ends when its devices are quiet");
  } else if (work == Work::kReboot) {
    // While devices are reset there is no guest to ask, and nothing to end before that is done.
    log::info("The guest ends when the reset of its devices is done");
    end_asked = true;
    status_if_forced = status;
    is_unwanted = true;
    machine->break_off();
  } else if (!is_running) {
    log::warn("The start is broken off");
    finish(RunEnd::kStartBrokenOff, status);
  } else if (end_asked) {
    log::warn("Ending the guest without its consent");
    finish(RunEnd::kEndedForced, status);
  } else {
    press_for_end(status);
  }
}

void ControlLoop::Impl::press_for_end(int status) {
  end_asked = true;
  status_if_forced = status;
  log::info("Power button pressed; the guest has {} s to power off (ask again to end it now)",
            options.power_off_grace.count());
  machine->press_power_button();
  if (is_paused || work == Work::kPause) {
    waiting.push_front(
        {.wish = Wish::kResume,
         .done = log_outcome("The guest goes on, to power off", "The guest cannot power off")});
    proceed();
  }
  grace.expires_after(options.power_off_grace);
  grace.async_wait([this, status](const boost::system::error_code& error) {
    if (!error) {
      ask_for_end(status);
    }
  });
}

void ControlLoop::Impl::wait_for_signal() {
  signals.async_wait([this](const boost::system::error_code& error, int number) {
    if (!error) {
      handle_signal(number);
      wait_for_signal();
    }
  });
}

void ControlLoop::Impl::handle_signal(int number) {
  if (number == SIGUSR1) {
    request({.wish = Wish::kPause,
             .done = log_outcome("The guest is paused", "SIGUSR1 pauses nothing")});
  } else if (number == SIGUSR2) {
    request({.wish = Wish::kResume,
             .done = log_outcome("The guest goes on", "SIGUSR2 resumes nothing")});
  } else if (number != SIGHUP || !end_asked) {
    // A shell that its terminal leaves passes SIGHUP on, and the kernel sends one, too.
    const auto now = std::chrono::steady_clock::now();
    const bool is_same =
        signalled && signalled->first == number && now - signalled->second < options.same_request;
    if (is_same) {
      log::info("The same signal to end the run within {} ms of the first: the same request",
                options.same_request.count());
    } else {
      signalled = {number, now};
      ask_for_end(128 + number);
    }
  }
}

/// The guest's own word of its end counts at once, also while it is asked to end or reboots.
void ControlLoop::Impl::handle_exit(std::uint32_t status) {
  if (result || machine == nullptr) {
    return;
  }
  events.word({.channel = "exit_port", .word = "exit", .status = status});
  log::info("The guest ends its run with exit status {}", status);
  if (status > kHighestGuestExit) {
    log::warn("Exit statuses of guests end at {}: {} becomes {}", kHighestGuestExit, status,
              kHighestGuestExit);
  }
  finish(RunEnd::kGuestExit, static_cast<int>(std::min<std::uint32_t>(status, kHighestGuestExit)));
}

void ControlLoop::Impl::handle_panic(GuestPanic panic) {
  if (result || machine == nullptr) {
    return;
  }
  const bool goes_on = panic == GuestPanic::kCrashKernel;
  if (goes_on && std::exchange(crashed_in, life.load()) == life.load()) {
    return;  // it may say so as often as it likes
  }
  events.word({.channel = "pvpanic", .word = goes_on ? "crash_kernel" : "panic"});
  if (goes_on) {
    log::warn("The guest's kernel panicked; its crash kernel takes over");
    return;
  }
  log::error("The guest's kernel panicked");
  finish(RunEnd::kPanicked, kExitGuestPanic);
}

/// Of one that the guest asks for; others may reboot it as often as they like.
std::chrono::seconds ControlLoop::Impl::wait_of_reboot() {
  const auto wait = backoff.end(RebootBackoff::Clock::now());
  if (wait.count() > 0) {
    log::warn(
        "The guest has rebooted {} times after less than {} s: it starts again in {} s "
        "(machine.reboot_backoff)",
        backoff.short_lives(), RebootBackoff::kShortLife.count(), wait.count());
    events.reboot_delayed({.seconds = static_cast<std::uint64_t>(wait.count()),
                           .short_lives = backoff.short_lives()});
  }
  return wait;
}

/// On the worker: who wants the guest to end, or to go on, is heard meanwhile.
void ControlLoop::Impl::rest(std::chrono::seconds wait) {
  constexpr std::chrono::milliseconds kLook{20};
  const auto end = RebootBackoff::Clock::now() + wait;
  while (is_resting && !is_unwanted && RebootBackoff::Clock::now() < end) {
    std::this_thread::sleep_for(kLook);
  }
  is_resting = false;
}

}  // namespace gpuvm
