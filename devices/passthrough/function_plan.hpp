// SPDX-License-Identifier: Apache-2.0
// FunctionPlan: what the guest shall see of a function, decided from the hardware's configuration
// space and the options before anything of the function is made.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/function_bars.hpp"
#include "devices/passthrough/function_interrupts.hpp"
#include "devices/passthrough/msix_relocation.hpp"
#include "devices/passthrough/passthrough_function.hpp"

namespace gpuvm {

struct FunctionPlan {
  std::vector<std::byte> config;  ///< the hardware's, as it is now
  std::optional<MsiCapability> msi;
  MsixPlan msix;
  ConfigPatch patch;

  /// Reads the device and writes nothing. Errors: kHost (device gone), kConfig (a bridge, a quirk
  /// or a clique of other devices, a place that the MSI-X table cannot have).
  static Result<FunctionPlan> create(const PassthroughFunction::Options& options);

  FunctionInterrupts::Options interrupts(const PassthroughFunction::Options& options) const;
  /// Takes the ROM source out of `options`. The result refers to `config`.
  FunctionBars::Options bars(PassthroughFunction::Options& options,
                             FunctionOverlays& overlays) const;
};

}  // namespace gpuvm
