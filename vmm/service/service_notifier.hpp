// SPDX-License-Identifier: Apache-2.0
// ServiceNotifier: tells the service manager what a guest does (sd_notify(3)), and that its monitor
// works: WATCHDOG=1 as long as the control thread and its worker do.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "vmm/control/guest_control.hpp"
#include "vmm/service/notify_socket.hpp"
#include "vmm/service/service_report.hpp"

namespace boost::asio {
class io_context;
}

namespace gpuvm {

/// Control thread; made before the guest is built, destroyed before the control and its context.
class ServiceNotifier {
 public:
  using Answer = std::function<void()>;
  struct Options {
    ReadyWhen ready_when = ReadyWhen::kVcpus;
    /// Told at half of it; nothing: no watchdog.
    std::optional<std::chrono::microseconds> watchdog = {};
    /// Has the worker call the answer, on the control thread, once it has done what it does.
    std::function<void(Answer)> ask_worker = {};
    /// What the worker may do at a stretch before it counts as stuck. Resets have limits of their
    /// own, which are shorter.
    std::chrono::milliseconds longest_work = std::chrono::minutes(20);
    /// How often more time is asked for, and for how long in one state.
    std::chrono::milliseconds extend_every = std::chrono::seconds(15);
    std::chrono::milliseconds longest_extension = std::chrono::minutes(20);
  };
  ServiceNotifier(boost::asio::io_context& context, GuestControl& control, NotifySocket socket,
                  Options options);
  ~ServiceNotifier();
  ServiceNotifier(const ServiceNotifier&) = delete;
  ServiceNotifier& operator=(const ServiceNotifier&) = delete;

 private:
  struct Timer;
  void hear(const GuestEvent& event);
  void arm();
  void tick();
  void feed_watchdog();
  void send(const std::string& notification);

  const Options options_;
  GuestControl& control_;
  const NotifySocket socket_;
  ServiceReport report_;
  std::unique_ptr<Timer> timer_;
  std::uint64_t subscription_ = 0;
  std::chrono::steady_clock::time_point state_since_;
  std::optional<std::chrono::steady_clock::time_point> asked_;  ///< the worker, without an answer
  bool has_warned_ = false;
};

}  // namespace gpuvm
