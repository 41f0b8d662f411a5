// SPDX-License-Identifier: Apache-2.0
// ServiceReport: what a service manager is told of a guest, as notifications (sd_notify(3)), made
// of the guest's events. Pure: no clock is read, nothing is sent.
#pragma once

#include <chrono>
#include <string>

#include "vmm/config/systemd_config.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {

class ServiceReport {
 public:
  explicit ServiceReport(ReadyWhen ready_when) : ready_when_(ready_when) {}

  /// While this takes time the service manager is asked for more of it, again and again.
  static constexpr std::chrono::seconds kExtension{60};

  /// The first notification.
  std::string begin() const;
  /// Lines for one notification, without the last one's end; "": nothing to tell.
  std::string after(const GuestEvent& event);

  /// Devices are found, reset or made quiet, which may take longer than a service's usual limits.
  bool takes_time() const { return takes_time_; }
  /// The notification that asks for more time, from now on.
  static std::string extension();

 private:
  std::string after_state(LifecycleState state);
  std::string after_word(const GuestWord& word);
  std::string ready(const std::string& status);

  const ReadyWhen ready_when_;
  bool is_ready_ = false;
  bool takes_time_ = true;
};

}  // namespace gpuvm
