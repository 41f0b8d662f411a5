// SPDX-License-Identifier: Apache-2.0
// GuestFunctionReset: what follows when a guest resets one of its functions by the function's own
// registers, an FLR or the way from D3hot to D0: the function is checked, a certificate is written,
// and one that is not well stays away from the guest. Missing: a change of power state of a
// function that keeps its state (No_Soft_Reset) is no reset, and is not looked at.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "devices/passthrough/passthrough_function.hpp"
#include "devices/physical/reset/guest_reset.hpp"
#include "devices/physical/reset/reset_book.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/sandbox/roles/role_thread.hpp"

namespace gpuvm {

class GuestFunctionReset : public Inspectable {
 public:
  using OnReset = std::function<void(std::string_view reason, const ResetCertificate&)>;
  struct Options {
    std::string name;  ///< of the function, for messages
    ResetBook& book;
    /// The book's, for this function alone.
    ResetPlan plan;
    ResetClock clock = ResetClock::real();
    /// Told "guest function reset" or "guest power up"; any thread; may be empty.
    OnReset on_reset;
  };
  /// All that the options refer to must outlive this. The plan has one set of one function.
  explicit GuestFunctionReset(Options options) : options_(std::move(options)) {}
  /// For one of a guest's functions that is in the book, with its thread. Errors: as
  /// ResetBook::plan() and start_thread().
  static Result<std::unique_ptr<GuestFunctionReset>> create(HostDevices& devices,
                                                            const OwnedFunction& owned,
                                                            OnReset on_reset);
  /// From now on the function is looked at on a thread of its own, since a vCPU's has no right to;
  /// else on the caller's. Once, before the guest. Errors: kHost: no more threads.
  Status start_thread();

  /// FLR must not be offered to the guest: the policy knows that it loses the device, or the
  /// configuration forbids every reset.
  bool is_hidden() const;
  /// As PassthroughFunction::Options::after_reset.
  bool after(const GuestReset& reset, std::chrono::milliseconds so_far);
  void inspect(InspectNode& node) const override;

 private:
  /// What a look is about, and what came of it.
  struct Look {
    bool is_power_up = false;
    std::chrono::milliseconds so_far{0};
    std::optional<Error> refusal = {};
    ResetCertificate certificate = {};
  };
  void check(Look& look) const;
  void report(bool is_power_up, const ResetCertificate& certificate);
  const ResetSet& set() const { return options_.plan.sets().front(); }
  const PlannedFunction& function() const { return set().functions.front(); }

  const Options options_;
  std::atomic<std::uint64_t> resets_{0};
  std::atomic<std::uint64_t> failures_{0};
  log::RateLimit limit_;                         ///< of the log: a guest can cause a line at will
  std::unique_ptr<sandbox::RoleThread> thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm
