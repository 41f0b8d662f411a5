// SPDX-License-Identifier: Apache-2.0
// FunctionPlan: what the guest shall see of a function, decided from what the function is, what the
// user wants and where it is put, before anything of it is made. A start carries it out, a preview
// prints it.
#pragma once

#include <optional>
#include <string>

#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/function_facts.hpp"
#include "devices/passthrough/function_view.hpp"
#include "devices/passthrough/msix_relocation.hpp"

namespace gpuvm {

/// Where the guest finds a function, and what follows of that.
struct FunctionPlace {
  bool multi_function = false;  ///< it is function 0 and the guest sees others in its slot
  /// What the root port in front is capable of; nothing: link registers as they are.
  std::optional<PcieLink> link = {};
  /// FLR is known to kill this device. Hidden, too, where the device has no function reset.
  bool hide_function_reset = false;
};

struct FunctionPlan {
  MsixPlan msix;
  ConfigPatch patch;
  BarDescriptions bars;  ///< that the guest sees, without the ROM's
  RomIds shown;          ///< vendor and device that the guest sees

  /// `name`: of the function, for messages. Errors: kConfig (a quirk or a clique of other devices,
  /// a place that the MSI-X table cannot have).
  static Result<FunctionPlan> create(const std::string& name, const FunctionFacts& facts,
                                     const FunctionView& view, const FunctionPlace& place);
};

}  // namespace gpuvm
