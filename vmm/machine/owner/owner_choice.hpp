// SPDX-License-Identifier: Apache-2.0
// Whether a guest's run is one process, or an owner and its monitor (docs/security-inside.md).
#pragma once

#include <string_view>

#include "vmm/config/config.hpp"

namespace gpuvm {

/// What the configuration does not say.
struct OwnerFacts {
  bool is_root = false;
  bool is_job = false;  ///< `gpuvm test`, to which test.retries applies
  /// A process can be watched (pidfd_open(2)): not by kernels before 5.3 and in some containers.
  bool can_watch = true;
};

struct OwnerChoice {
  OwnerPlace place = OwnerPlace::kInside;  ///< never kAuto
  std::string_view reason = {};            ///< a few words, for people
};

/// `sandbox.owner`, where that can be: an owner's process needs root, and its monitor has one guest
/// in its life. "auto" has one for cards of the host, which an owner can reset and give back; a
/// vfio-user server's device is its server's. Looks at nothing but its arguments.
OwnerChoice choose_owner(const Config& config, const OwnerFacts& facts);

}  // namespace gpuvm
