// SPDX-License-Identifier: Apache-2.0
// ResetBook: what is known of the resets of a guest's functions: how each looked while it was well,
// what the configuration says of it, and which methods did not help it. One book for all who reset
// them (the machine, the guest by a root port, the guest by the function's own registers), so that
// what one has found out the others need not find out again: a method that does not help may take a
// minute to say so. It is forgotten when gpuvm ends: on disk it would let a guest, which can make a
// reset fail, choose how the device is reset after the next one.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "devices/physical/reset/reset_sequence.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// Whose wish a reset is.
enum class ResetWish {
  kGuest,     ///< the guest's, by a root port or a function's registers
  kMachine,   ///< gpuvm's, before a guest has had the functions
  kReboot,    ///< gpuvm's, at the guest's reboot; the same guest goes on with the functions
  kNextUser,  ///< gpuvm's, before somebody else gets them: what came of the guest's own resets and
              ///< of those at its reboots, which it can bring about, has no say in which method is
              ///< tried first
};

/// Any thread. Functions may be added and removed while others are reset; no lock is held while a
/// device or the host is asked or reset.
class ResetBook : public Inspectable {
 public:
  /// `host` has all functions of the book and must outlive it. `options` are those of its plans.
  explicit ResetBook(PhysicalHost& host, const ResetOptions& options = {})
      : host_(host), options_(options) {}

  /// Enters a function, while it is well: reads how it looks, unless `options.known` says it. Of
  /// one that is in the book already everything stays as it is. Errors: kUnsafeDevice: it does not
  /// answer.
  Status add(PhysicalDevice& device, const FunctionResetOptions& options);
  /// Nothing more is known of the function of that name. Plans that were made keep it.
  void remove(const std::string& name);

  /// A plan for these functions alone: a hot reset that reaches past them is none of its methods.
  /// It holds how they must look after a reset. Errors: as ResetPlan::create(); kInternal: a
  /// function that is not in the book.
  Result<ResetPlan> plan(std::span<PhysicalDevice* const> devices) const;
  /// The plan with its methods in the order in which reset() would try them now: what did not help
  /// a function of a set comes last.
  ResetPlan current(const ResetPlan& plan, ResetWish wish = ResetWish::kMachine) const;

  /// As reset_all(), in the order of current(); learns from what comes of it. At the same time only
  /// for plans that share no function.
  std::vector<ResetCertificate> reset(const ResetPlan& plan,
                                      const ResetClock& clock = ResetClock::real(),
                                      ResetWish wish = ResetWish::kMachine);
  /// Learns from the outcome of a reset of whole sets or of one function: the method that helped is
  /// tried in its usual place again, those that did not come last.
  void learn(const ResetCertificate& certificate, ResetWish wish = ResetWish::kMachine);

  /// Functions, how they looked, and what did not help them.
  void inspect(InspectNode& node) const override;

 private:
  struct Entry {
    FunctionResetOptions options;        ///< with `known` set: how it looked while it was well
    std::set<ResetMethod> did_not_help;  ///< the last time that each was tried
    std::set<ResetMethod> guest_says;    ///< those of them that were found while a guest had it
  };
  Result<std::vector<FunctionResetOptions>> options_of(
      std::span<PhysicalDevice* const> devices) const;

  PhysicalHost& host_;
  const ResetOptions options_;
  log::RateLimit guest_limit_;
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ GPUVM_GUARDED_BY(mutex_);  ///< by name
};

}  // namespace gpuvm
