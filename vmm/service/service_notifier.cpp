// SPDX-License-Identifier: Apache-2.0
#include "vmm/service/service_notifier.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "vmm/base/asio.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

namespace {

using NotifierClock = std::chrono::steady_clock;

}  // namespace

struct ServiceNotifier::Timer {
  explicit Timer(boost::asio::io_context& context) : timer(context) {}
  boost::asio::steady_timer timer;
};

ServiceNotifier::ServiceNotifier(boost::asio::io_context& context, GuestControl& control,
                                 NotifySocket socket, Options options)
    : options_(std::move(options)),
      control_(control),
      socket_(std::move(socket)),
      report_(options_.ready_when),
      timer_(std::make_unique<Timer>(context)),
      state_since_(NotifierClock::now()) {
  subscription_ = control_.subscribe([this](const GuestEvent& event) { hear(event); });
  send(report_.begin());
  arm();
}

ServiceNotifier::~ServiceNotifier() {
  control_.unsubscribe(subscription_);
}

void ServiceNotifier::hear(const GuestEvent& event) {
  if (const std::string notification = report_.after(event); !notification.empty()) {
    send(notification);
  }
  if (std::holds_alternative<StateChange>(event.what)) {
    state_since_ = NotifierClock::now();
    arm();
  }
}

/// For the next time that there is something to tell.
void ServiceNotifier::arm() {
  std::optional<NotifierClock::duration> delay;
  if (options_.watchdog) {
    delay = *options_.watchdog / 2;
  }
  if (report_.takes_time() && NotifierClock::now() - state_since_ < options_.longest_extension) {
    delay = std::min<NotifierClock::duration>(delay.value_or(options_.extend_every),
                                              options_.extend_every);
  }
  if (!delay) {
    timer_->timer.cancel();
    return;
  }
  timer_->timer.expires_after(*delay);
  timer_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      tick();
    }
  });
}

void ServiceNotifier::tick() {
  if (options_.watchdog) {
    feed_watchdog();
  }
  if (report_.takes_time() && NotifierClock::now() - state_since_ < options_.longest_extension) {
    send(ServiceReport::extension());
  }
  arm();
}

/// That this runs shows that the control thread does. The worker shows it by an answer, which comes
/// late where it resets devices.
void ServiceNotifier::feed_watchdog() {
  const auto now = NotifierClock::now();
  if (!asked_ && options_.ask_worker) {
    asked_ = now;
    options_.ask_worker([this] { asked_.reset(); });
  }
  if (!asked_ || now - *asked_ < options_.longest_work) {
    send("WATCHDOG=1");
  } else if (!std::exchange(has_warned_, true)) {
    log::error("The worker has not ended its work for {} s: the service's watchdog is not fed",
               std::chrono::duration_cast<std::chrono::seconds>(options_.longest_work).count());
  }
}

void ServiceNotifier::send(const std::string& notification) {
  if (!socket_.send(notification)) {
    log::debug("The service manager does not take \"{}\"", notification.substr(0, 64));
  }
}

}  // namespace gpuvm
