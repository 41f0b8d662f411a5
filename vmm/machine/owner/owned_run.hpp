// SPDX-License-Identifier: Apache-2.0
// The owner of a guest's run, as `[sandbox] owner` says: a process of its own, or none.
#pragma once

#include <optional>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/owner/split_process.hpp"

namespace gpuvm {

/// For the verbs that run a guest, once they have its configuration and before there is a second
/// thread. As split_process(): in the owner's process it returns with an exit status when all is
/// over. With neither there is one process, because the configuration says so or gpuvm is not root.
/// `status_of_killed` as OwnerSide.
Result<SplitProcess> split_run(const Config& config, std::optional<int> status_of_killed = {});

}  // namespace gpuvm
