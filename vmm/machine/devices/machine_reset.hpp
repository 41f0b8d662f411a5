// SPDX-License-Identifier: Apache-2.0
// MachineReset: when the machine's host devices are reset, what came of it, and what is noted of it
// where a crash does not reach: from the first reset on a function counts as dirty, until a
// verified one at the stop. The plan is made once, while the devices are well; every later reset
// uses it, in the order that the reset book (reset_book.hpp) has learnt. Where none of its methods
// helps and no guest has the devices yet, those follow for which they must be closed.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "devices/physical/reset/reset_book.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/machine/devices/host_devices.hpp"

namespace gpuvm {

enum class ResetReason {
  kStart,   ///< a guest is about to get the devices
  kReboot,  ///< the guest starts over and keeps them
  kStop,    ///< nobody needs them any more
  kRepair,  ///< no guest: gpuvm reset
};
std::string_view to_string(ResetReason reason);

/// One thread at a time, but for what says otherwise.
class MachineReset : public Inspectable {
 public:
  using OnReset = std::function<void(ResetReason, const ResetCertificate&)>;
  using OnScrub = std::function<void(const ScrubProgress&)>;
  /// `devices` must outlive this; `on_reset` is told of every set's reset, those that failed too,
  /// `on_scrub` how far the overwriting of memory is, from threads of its own.
  explicit MachineReset(HostDevices& devices, OnReset on_reset = {}, OnScrub on_scrub = {})
      : devices_(devices), on_reset_(std::move(on_reset)), on_scrub_(std::move(on_scrub)) {}

  /// Another process has reset the same devices at the same end and told of it: what goes well is a
  /// message for who wants all of them.
  void be_brief() { is_brief_ = true; }
  /// Enters the devices into the reset book and makes the plan, while they are well; run() does it
  /// where nobody has. Errors: kUnsafeDevice; kConfig, also where the memory that is to be
  /// overwritten later is none.
  Status plan();
  /// After plan(): marks every device as dirty, which run() does too. Errors: kHost.
  Status mark_in_use();
  /// Resets and verifies every device; does nothing without devices. Then overwrites the memory
  /// that is to be before the next user gets it: at the stop as the configuration says, at a start
  /// and a repair what a gpuvm that was killed has left undone; not at a reboot. Errors:
  /// kUnsafeDevice; the devices that it names are marked as dirty.
  Status run(ResetReason reason);
  /// After a run that failed with `failure`, and only while no guest has the devices: the methods
  /// for which the failed functions must be closed, in the order of kClosedRungs, or the rescan
  /// first where BAR registers of the hardware are gone; each followed by a whole run. Who holds
  /// their groups (KVM) must let go before; every PhysicalDevice is another one afterwards. What is
  /// no failure of a reset, or a reset that the user chose, is returned as it is. Errors: as run(),
  /// with what was tried.
  Status recover(ResetReason reason, Status failure);
  /// One of these methods for all functions, then a whole run. Errors: kHost: not possible here,
  /// and nothing has happened; as run().
  Status run_closed(SlotMethod method, ResetReason reason);
  /// In place of a last run where no guest had the devices since the one before: those that it
  /// verified are no longer dirty, the others stay so. Where memory is to be overwritten and a
  /// guest had them before that one, a last run all the same. Errors: kHost; as run().
  Status release();
  /// Of the last run. Any thread.
  std::vector<ResetCertificate> certificates() const;
  /// Any thread, at any time.
  void inspect(InspectNode& node) const override;

 private:
  Status wait_for_devices();
  Status enter_devices();
  std::optional<ResetPlan> known_plan() const;
  Status note(ResetReason reason, const ResetPlan& plan, const ResetCertificate& certificate);
  Status mark_clean(const ResetCertificate& certificate);
  std::vector<ScrubJob> scrub_jobs(ResetReason reason,
                                   std::span<const ResetCertificate> certificates) const;
  Status check_scrubs() const;
  Status scrub(ResetReason reason, std::vector<ResetCertificate>& certificates);
  Status owe_scrubs();
  bool is_scrub_owed() const;
  /// Functions that were reset together, and that this did not bring back.
  struct FailedSet {
    ResetCertificate certificate = {};
    std::string usual = {};  ///< the method that comes first for them
  };
  std::vector<FailedSet> failed_sets() const;
  void tell_cycle(ResetReason reason, ResetCertificate certificate,
                  std::span<const FailedSet> failed);
  Status cycle_and_run(SlotMethod method, std::span<SlotCycle> slots, ResetReason reason,
                       std::span<const FailedSet> failed = {});

  HostDevices& devices_;
  OnReset on_reset_;
  OnScrub on_scrub_;
  bool is_brief_ = false;
  mutable Mutex mutex_;  ///< not held while devices are reset
  std::optional<ResetPlan> plan_ GPUVM_GUARDED_BY(mutex_);
  std::vector<ResetCertificate> last_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t runs_ GPUVM_GUARDED_BY(mutex_) = 0;
  ResetReason last_reason_ GPUVM_GUARDED_BY(mutex_) = ResetReason::kStart;
};

}  // namespace gpuvm
