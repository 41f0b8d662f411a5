// SPDX-License-Identifier: Apache-2.0
// The control loop as a GuestControl: requests from any thread, in order, and who is told what
// happens.
#include <algorithm>

#include "vmm/base/log.hpp"
#include "vmm/machine/run/control_state.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm {

sigset_t requests_by_signal() {
  sigset_t set{};
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR1);
  ::sigaddset(&set, SIGUSR2);
  return set;
}

void hold_requests_by_signal() {
  const sigset_t set = requests_by_signal();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

namespace asio = boost::asio;

namespace {

/// More requests than this are refused while one is carried out.
constexpr std::size_t kMostWaiting = 64;

}  // namespace

void ControlLoop::Impl::request(Request request) {
  const MutexLock lock(mailbox_mutex);
  if (is_closed) {
    return;
  }
  mailbox.push_back(std::move(request));
  asio::post(context, [this] { take_mail(); });
}

void ControlLoop::Impl::take_mail() {
  std::deque<Request> arrived;
  {
    const MutexLock lock(mailbox_mutex);
    arrived.swap(mailbox);
  }
  for (Request& request : arrived) {
    if (is_over || machine == nullptr || waiting.size() >= kMostWaiting) {
      refuse(request);
    } else if (request.wish == Wish::kStop) {
      stop_answers.push_back(std::move(request.done));
      finish(RunEnd::kStopped, 0);
    } else {
      waiting.push_back(std::move(request));
    }
  }
  proceed();
}

/// The worker is free, and the guest is not to end.
void ControlLoop::Impl::carry_out(Request request) {
  const bool fits = is_running && (request.wish == Wish::kResume) == is_paused;
  if (!fits) {
    refuse(request);
    return;
  }
  if (request.wish == Wish::kPressPowerButton) {
    machine->press_power_button();
    request.done({});
    return;
  }
  if (request.wish == Wish::kReboot && !leaving.empty()) {
    waiting.push_front(std::move(request));
    hurry_cards();
    return;
  }
  answer_to = std::move(request.done);
  if (request.wish == Wish::kReboot) {
    begin_reboot();
  } else if (request.wish == Wish::kAttach) {
    begin_attach(std::move(request.device));
  } else if (request.wish == Wish::kDetach) {
    begin_ask(std::move(request.device));
  } else if (request.wish == Wish::kPause) {
    begin(Work::kPause, [this] { return machine->pause(); });
  } else {
    begin(Work::kResume, [this] { return machine->resume(); });
  }
}

/// Nobody waits until a guest that reboots in a loop has had its rest: who wants it to reboot has
/// the reboot that is at work, and who presses its button wants it to run.
void ControlLoop::Impl::answer_at_rest() {
  auto asked = std::exchange(waiting, {});
  for (Request& request : asked) {
    if (request.wish == Wish::kPause || request.wish == Wish::kResume) {
      refuse(request);
    } else if (request.wish == Wish::kReboot && !answer_to) {
      answer_to = std::move(request.done);
      is_resting = false;
    } else {
      waiting.push_back(std::move(request));
      is_resting = false;
    }
  }
}

/// For who asks something that does not fit what the guest is doing.
Error ControlLoop::Impl::wrong_state() const {
  const char* const doing = machine == nullptr || is_over ? "has ended"
                            : result                      ? "is about to end"
                            : !is_running                 ? "does not run yet"
                            : is_resting ? "waits before it starts again (machine.reboot_backoff)"
                            : is_paused  ? "is paused"
                                         : "is running";
  return gpuvm::fail(ErrorKind::kWrongState, "The guest {}", doing);
}

void ControlLoop::Impl::refuse(const Request& request) const {
  request.done(wrong_state());
}

void ControlLoop::Impl::refuse_all() {
  auto refused = std::exchange(waiting, {});
  for (const Request& request : refused) {
    refuse(request);
  }
  refuse_cards();
}

void ControlLoop::Impl::answer(const Status& status) {
  if (const Done done = std::exchange(answer_to, nullptr)) {
    done(status);
  }
}

void ControlLoop::Impl::tell_subscribers(const GuestEvent& event) {
  std::vector<std::shared_ptr<const GuestObserver>> told;
  {
    const MutexLock lock(subscribers_mutex);
    for (const auto& [number, observer] : subscribers) {
      told.push_back(observer);
    }
  }
  for (const auto& observer : told) {
    (*observer)(event);
  }
}

LifecycleState ControlLoop::state() const {
  return impl_->state;
}

void ControlLoop::inspect(InspectNode& node) const {
  const MutexLock lock(impl_->machine_mutex);
  if (impl_->shown_machine != nullptr) {
    impl_->shown_machine->inspect(node);
  } else {
    node.field("state", to_string(impl_->state));
  }
}

void ControlLoop::press_power_button(Done done) {
  impl_->request({.wish = Impl::Wish::kPressPowerButton, .done = std::move(done)});
}

void ControlLoop::reboot(Done done) {
  impl_->request({.wish = Impl::Wish::kReboot, .done = std::move(done)});
}

void ControlLoop::pause(Done done) {
  impl_->request({.wish = Impl::Wish::kPause, .done = std::move(done)});
}

void ControlLoop::resume(Done done) {
  impl_->request({.wish = Impl::Wish::kResume, .done = std::move(done)});
}

void ControlLoop::stop(Done done) {
  impl_->request({.wish = Impl::Wish::kStop, .done = std::move(done)});
}

std::uint64_t ControlLoop::subscribe(GuestObserver observer) {
  const MutexLock lock(impl_->subscribers_mutex);
  const auto number = ++impl_->last_subscriber;
  impl_->subscribers.emplace_back(number,
                                  std::make_shared<const GuestObserver>(std::move(observer)));
  return number;
}

void ControlLoop::unsubscribe(std::uint64_t observer) {
  const MutexLock lock(impl_->subscribers_mutex);
  std::erase_if(impl_->subscribers,
                [observer](const auto& entry) { return entry.first == observer; });
}

}  // namespace gpuvm
