// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/control_loop.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>

#include "vmm/base/asio.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/machine/run.hpp"

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
    if (!result) {
      result.emplace(std::move(outcome));
    }
    context.stop();
  }

  /// Any thread. A guest that resets tries several ways one after the other, and goes on until its
  /// vCPUs stop: what it wished in a former life is void.
  void post_reset(const char* why) {
    asio::post(context, [this, why, wished_in = life.load()] {
      if (machine != nullptr && !result && wished_in == life) {
        handle_reset(why);
      }
    });
  }

  void handle_reset(const char* why) {
    log::info("The guest resets ({})", why);
    if (on_reboot == RebootAction::kExit) {
      finish(kExitGuestReset);
      return;
    }
    machine->stop_vcpus();
    ++life;  // before the next life, whose guest may reset at once
    if (auto status = machine->reboot(); !status) {
      finish(std::move(status).error().with_context("Guest reset"));
    }
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
  std::atomic<std::uint64_t> life{0};  ///< reboots so far
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
  asio::post(impl->context, [impl, kind, failure] { impl->finish(Error(kind, failure)); });
}

void ControlLoop::fail(Error error) {
  asio::post(impl_->context,
             [impl = impl_.get(), error = std::move(error)] { impl->finish(error); });
}

void ControlLoop::ask_for_end(int status_if_forced) {
  if (impl_->machine == nullptr || impl_->end_asked) {
    log::warn("{}", impl_->machine == nullptr ? "The start is broken off"
                                              : "Ending the guest without its consent");
    impl_->finish(status_if_forced);
    return;
  }
  impl_->end_asked = true;
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
  impl_->machine = &machine;
  auto work = asio::make_work_guard(impl_->context);
  if (!impl_->result) {
    impl_->context.run();
  }
  impl_->machine = nullptr;
  return outcome();
}

}  // namespace gpuvm
