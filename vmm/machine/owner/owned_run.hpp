// SPDX-License-Identifier: Apache-2.0
// The owner of a guest's run, as `[sandbox] owner` says: a process of its own, or none.
#pragma once

#include <optional>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/owner/split_process.hpp"

namespace gpuvm {

/// What differs from verb to verb.
struct OwnedVerb {
  bool is_job = false;                       ///< as OwnerFacts
  std::optional<int> status_of_killed = {};  ///< as OwnerSide
  std::optional<int> status_of_unsafe = {};  ///< as OwnerSide
};

/// For the verbs that run a guest, once they have its configuration and before there is a second
/// thread. As split_process(): in the owner's process it returns with an exit status when all is
/// over. With neither there is one process. choose_owner() decides, and `reason` says why.
Result<SplitProcess> split_run(const Config& config, const OwnedVerb& verb = {});

}  // namespace gpuvm
