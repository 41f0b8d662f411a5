// SPDX-License-Identifier: Apache-2.0
// [sandbox]: what contains a guest that has taken over its monitor (docs/security.md).
#pragma once

#include <string>

namespace gpuvm {

/// What becomes of a system call that the list of its thread's role lacks.
enum class SandboxMode {
  kOn,   ///< it fails, and the guest ends
  kLog,  ///< it is carried out and noted
  kOff,  ///< there are no lists, and nothing is given up, nor by programs that run for the guest
};

/// Who has the guest's devices when the monitor is gone (docs/security-inside.md).
enum class OwnerPlace {
  kAuto,     ///< a process where that is of use, else nobody (vmm/machine/owner/owner_choice.hpp)
  kInside,   ///< nobody: owner and monitor are one process
  kProcess,  ///< a process of its own, where gpuvm runs as root
};

struct SandboxConfig {
  SandboxMode mode = SandboxMode::kOn;
  OwnerPlace owner = OwnerPlace::kInside;
  std::string user = {};   ///< whom the monitor of an owner becomes; "": nobody else
  std::string group = {};  ///< "": the user's own
  std::string log = {};    ///< of log mode: the file that its notes go to; "": the log
  /// Whom programs that run for the guest become, where root starts gpuvm; "": gpuvm-helper where
  /// there is one, else nobody.
  std::string helper_user = {};
  bool operator==(const SandboxConfig&) const = default;
};

}  // namespace gpuvm
