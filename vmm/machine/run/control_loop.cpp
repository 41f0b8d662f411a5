// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/control_loop.hpp"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/base/asio.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/run/machine.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm {

namespace asio = boost::asio;

struct ControlLoop::Impl {
  explicit Impl(RebootAction action)
      : on_reboot(action), signals(context, SIGINT, SIGTERM), grace(context) {
    struct sigaction hangup {};
    if (::sigaction(SIGHUP, nullptr, &hangup) != 0 || hangup.sa_handler != SIG_IGN) {
      signals.add(SIGHUP);  // the terminal is gone; nohup(1) ignores it
    }
  }

  void finish(Result<int> outcome) {
    is_unwanted = true;
    if (!result) {
      result.emplace(std::move(outcome));
    }
    context.stop();
  }

  /// Any thread. A guest that resets tries several ways one after the other, and goes on until its
  /// vCPUs stop: what it wished in a former life is void.
  void post_reset(const char* why) {
    asio::post(context, [this, why, wished_in = life.load()] {
      if (machine == nullptr || result || wished_in != life) {
        return;
      }
      if (!rebooting) {
        handle_reset(why);
      } else if (*rebooting != wished_in) {
        next_reset = why;  // the next life is on already
      }
    });
  }

  void handle_reset(const char* why) {
    log::info("The guest resets ({})", why);
    if (on_reboot == RebootAction::kExit) {
      finish(kExitGuestReset);
    } else if (end_asked) {
      log::info("It was asked to end, and is not started again");
      finish(status_if_forced);
    } else {
      begin_reboot();
    }
  }

  /// On a thread of its own: a reset of the devices may take minutes, and signals and the console
  /// are served meanwhile.
  void begin_reboot() {
    rebooting = life.load();
    const auto reboot = [this] {
      machine->stop_vcpus();
      ++life;  // before the next life, whose guest may reset at once
      asio::post(context, [this, status = reboot_machine()] { end_reboot(status); });
    };
    try {
      worker = std::thread([reboot] {
        pthread_setname_np(pthread_self(), "reboot");
        reboot();
      });
    } catch (const std::system_error&) {  // no more threads for this process
      reboot();
    }
  }

  /// An exception (no memory for the kernel's file) must not leave the thread: devices would be
  /// left as they are.
  Status reboot_machine() {
    try {
      return machine->reboot([this] { return is_unwanted.load(); });
    } catch (const std::exception& error) {
      return gpuvm::fail(ErrorKind::kInternal, "{}", error.what());
    }
  }

  void end_reboot(const Status& status) {
    wait_for_worker();
    rebooting.reset();
    const char* const why = std::exchange(next_reset, nullptr);
    if (!status) {
      finish(Error(status.error()).with_context("Guest reset"));
    } else if (end_asked) {
      finish(status_if_forced);
    } else if (why != nullptr) {
      handle_reset(why);
    }
  }

  void wait_for_worker() {
    if (worker.joinable()) {
      worker.join();
    }
  }

  /// While devices are reset there is no guest to ask, and nothing to end before that is done.
  void ask_while_rebooting(int status) {
    log::info("The guest ends when the reset of its devices is done");
    end_asked = true;
    status_if_forced = status;
    is_unwanted = true;
  }

  void wait_for_signal(ControlLoop& loop) {
    signals.async_wait([this, &loop](const boost::system::error_code& error, int number) {
      if (error) {
        return;
      }
      // A shell that its terminal leaves passes SIGHUP on, and the kernel sends one, too.
      if (number != SIGHUP || !end_asked) {
        loop.ask_for_end(128 + number);
      }
      wait_for_signal(loop);
    });
  }

  const RebootAction on_reboot;
  asio::io_context context{1};
  asio::signal_set signals;
  asio::steady_timer grace;
  Machine* machine = nullptr;
  bool end_asked = false;
  int status_if_forced = 0;                ///< of who asked
  std::atomic<bool> is_unwanted{false};    ///< what comes after a reboot
  std::atomic<std::uint64_t> life{0};      ///< reboots so far
  std::optional<std::uint64_t> rebooting;  ///< the life that ended; while `worker` is at work
  const char* next_reset = nullptr;        ///< wish of the life that begins; nullptr: none
  std::thread worker;                      ///< has the machine to itself meanwhile
  std::optional<Result<int>> result;
};

ControlLoop::ControlLoop(RebootAction on_reboot) : impl_(std::make_unique<Impl>(on_reboot)) {
  impl_->wait_for_signal(*this);
}

ControlLoop::~ControlLoop() = default;

asio::io_context& ControlLoop::context() {
  return impl_->context;
}

MachineRequests ControlLoop::requests() {
  Impl* impl = impl_.get();
  return {.power_off =
              [impl] {
                asio::post(impl->context, [impl] {
                  log::info("The guest powers off");
                  impl->finish(0);
                });
              },
          .reset = [impl] { impl->post_reset("reset register"); }};
}

void ControlLoop::vcpu_ended(VcpuEvent event, const std::string& failure) {
  Impl* impl = impl_.get();
  if (event == VcpuEvent::kShutdown) {
    impl->post_reset("triple fault");
    return;
  }
  const auto kind =
      event == VcpuEvent::kMemoryGone ? ErrorKind::kUnsafeDevice : ErrorKind::kInternal;
  asio::post(impl->context, [impl, kind, failure, failed_in = impl->life.load()] {
    // Else it was of a guest that has reset since, or is about to be reset.
    if (failed_in == impl->life && impl->rebooting != failed_in) {
      impl->finish(Error(kind, failure));
    }
  });
}

void ControlLoop::fail(Error error) {
  asio::post(impl_->context,
             [impl = impl_.get(), error = std::move(error)] { impl->finish(error); });
}

void ControlLoop::ask_for_end(int status_if_forced) {
  if (impl_->rebooting) {
    impl_->ask_while_rebooting(status_if_forced);
    return;
  }
  if (impl_->machine == nullptr || impl_->end_asked) {
    log::warn("{}", impl_->machine == nullptr ? "The start is broken off"
                                              : "Ending the guest without its consent");
    impl_->finish(status_if_forced);
    return;
  }
  impl_->end_asked = true;
  impl_->status_if_forced = status_if_forced;
  log::info("Power button pressed; the guest has {} s to power off (ask again to end it now)",
            kPowerOffGrace.count());
  impl_->machine->power().press_power_button();
  impl_->grace.expires_after(kPowerOffGrace);
  impl_->grace.async_wait([this, status_if_forced](const boost::system::error_code& error) {
    if (!error) {
      ask_for_end(status_if_forced);
    }
  });
}

void ControlLoop::ask_once_for_end(int status_if_forced) {
  if (!impl_->end_asked) {
    ask_for_end(status_if_forced);
  }
}

bool ControlLoop::is_over() {
  impl_->context.poll();
  return impl_->result.has_value();
}

Result<int> ControlLoop::outcome() {
  return std::move(impl_->result).value_or(Result<int>(0));
}

Result<int> ControlLoop::run(Machine& machine) {
  /// The machine is its caller's again, also where something else has ended the guest.
  struct Turn {
    Impl& impl;
    ~Turn() {
      impl.wait_for_worker();
      impl.machine = nullptr;
    }
  };
  {
    const Turn turn{*impl_};
    impl_->machine = &machine;
    auto work = asio::make_work_guard(impl_->context);
    if (!impl_->result) {
      impl_->context.run();
    }
  }
  return outcome();
}

}  // namespace gpuvm
