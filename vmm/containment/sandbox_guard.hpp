// SPDX-License-Identifier: Apache-2.0
// SandboxGuard: the sandbox of a run (vmm/sandbox): what it must still reach, when it is entered,
// who hears of forbidden calls, and what is told of its layers.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "vmm/base/asio.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_events.hpp"
#include "vmm/sandbox/confine.hpp"

namespace gpuvm {

/// Who gives devices and files back.
struct OwnerKnown {
  bool has_owner = false;  ///< this is the monitor of an owner's process: it reaches fewer files
  std::string why = {};    ///< that is so, for people; "" is not told
};

/// As [sandbox] wants it: the first that a run or a job does, while there is one thread.
/// Errors: kConfig (a user that there is not), kHost (no seccomp).
Status prepare_sandbox(const Config& config, const OwnerKnown& owner = {});

class SandboxGuard : public Inspectable {
 public:
  /// On the control thread, for the first forbidden call: the guest is to end.
  using OnViolation = std::function<void(Error)>;
  /// Errors: kHost. `events` must outlive it.
  static Result<std::unique_ptr<SandboxGuard>> create(boost::asio::io_context& context,
                                                      GuestEvents& events,
                                                      OnViolation on_violation);
  /// When all is opened and no guest runs: the process gives up what it does not need any more, and
  /// the calling thread becomes the worker. Once.
  void enter_worker() GPUVM_EXCLUDES(mutex_);
  /// The same moment, on the control thread.
  static void enter_control();
  /// Log mode's notes are written.
  static void finish();
  void inspect(InspectNode& node) const override GPUVM_EXCLUDES(mutex_);

 private:
  SandboxGuard(boost::asio::io_context& context, GuestEvents& events, OnViolation on_violation)
      : events_(events), on_violation_(std::move(on_violation)), watched_(context) {}
  void wait();
  void hear();

  GuestEvents& events_;
  const OnViolation on_violation_;
  boost::asio::posix::stream_descriptor watched_;
  bool has_told_ = false;
  mutable Mutex mutex_;
  sandbox::Layers layers_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
