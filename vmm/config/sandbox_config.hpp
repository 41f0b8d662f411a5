// SPDX-License-Identifier: Apache-2.0
// [sandbox]: what contains a guest that has taken over its monitor (docs/containment-owner.md).
#pragma once

namespace gpuvm {

/// Who has the guest's devices when the monitor is gone.
enum class OwnerPlace {
  kInside,   ///< nobody: owner and monitor are one process
  kProcess,  ///< a process of its own, where gpuvm runs as root
};

struct SandboxConfig {
  OwnerPlace owner = OwnerPlace::kInside;
  bool operator==(const SandboxConfig&) const = default;
};

}  // namespace gpuvm
