// SPDX-License-Identifier: Apache-2.0
// ResetPlan: what the host offers for a guest's functions, what the policy says, and which resets
// will be tried in which order; made before anything is reset.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/reset/function_state.hpp"
#include "devices/physical/reset/reset_policy.hpp"
#include "vmm/base/inspect.hpp"

namespace gpuvm {

struct ResetOptions {
  /// Only this method, whatever the policy prefers. It cannot allow what a policy forbids.
  std::optional<ResetMethod> only;
  /// Rest after a reset, in place of the policy's.
  std::optional<std::chrono::milliseconds> settle;
  /// How long a function may take to answer. Linux waits as long, see PCIE_RESET_READY_POLL_MS.
  std::chrono::milliseconds ready_timeout{60000};
};

/// What the user says about one function.
struct FunctionResetOptions {
  /// This method alone, also where the policy forbids it: who owns the card decides.
  std::optional<ResetMethod> method;
  /// Rest after a reset, in place of the policy's; a set rests as long as its longest.
  std::optional<std::chrono::milliseconds> settle;
  /// How it looked while it was known to be well, from before a crash; nothing: as it looks now.
  std::optional<FunctionState> known;
  /// Lanes of its link before anybody opened it: the kernel resets a function that is opened, by a
  /// way that may leave the link narrow. 0: not known.
  std::uint8_t link_width = 0;
};

/// One function of a set, as it was when the plan was made.
struct PlannedFunction {
  PhysicalDevice* device = nullptr;
  FunctionState before;
  const ResetPolicy* policy = nullptr;
  FunctionResetOptions options;
};

/// Functions that are reset together.
struct ResetSet {
  std::vector<PlannedFunction> functions;
  std::vector<HotResetMember> hot_members;  ///< what a hot reset would cover
  std::string hot_reset_obstacle;           ///< why there is no hot reset; empty: there is one
  std::string function_reset_obstacle;
  std::string link_retrain_obstacle;  ///< why none follows a hot reset that failed
  std::vector<ResetMethod> rungs;     ///< in the order of trial; empty: no safe reset is known
  std::optional<ResetMethod> chosen;  ///< by the user
  std::string warning;                ///< what the user chose against the policy; empty: nothing
  std::string note;                   ///< why it is not reset though nobody chose that; or empty
  std::chrono::milliseconds settle{0};

  /// "0000:01:00.0, 0000:01:00.1"
  std::string names() const;
};

class ResetPlan : public Inspectable {
 public:
  /// Reads the functions and asks the host what it offers. Make it while the devices are well,
  /// once, and use it for every later reset: it holds what they must look like afterwards. The
  /// devices must outlive it. `functions` has one entry for each device, or none. Errors:
  /// kUnsafeDevice if a function does not answer; kConfig if two functions of one set are to be
  /// reset by different methods.
  static Result<ResetPlan> create(PhysicalHost& host, std::span<PhysicalDevice* const> devices,
                                  const ResetOptions& options = {},
                                  std::span<const FunctionResetOptions> functions = {});

  std::span<const ResetSet> sets() const { return sets_; }
  /// Puts the methods of each set last that are said not to help one of its functions; the order
  /// among the others, and among these, stays.
  void try_last(
      const std::function<bool(const std::string& function, ResetMethod method)>& does_not_help);
  const ResetOptions& options() const { return options_; }
  /// Every set has a reset to try. Errors: kUnsafeDevice saying what the host must do.
  Status check() const;
  void inspect(InspectNode& node) const override;

 private:
  explicit ResetPlan(const ResetOptions& options) : options_(options) {}

  ResetOptions options_;
  std::vector<ResetSet> sets_;
};

/// The refusal for a set without a safe reset, with what the user can do.
Error no_reset_error(const ResetSet& set);

}  // namespace gpuvm
