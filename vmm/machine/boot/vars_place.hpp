// SPDX-License-Identifier: Apache-2.0
// Where boot.vars can be kept. A service of systemd has /etc and /usr read-only (ProtectSystem=),
// so the file beside a configuration in /etc/gpuvm, which is right for a run by hand, is not there.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

/// Errors: kConfig, where boot.vars lies on a file system that is read-only for this process, with
/// a place that is not. What else may be wrong with it, opening it tells.
Status check_vars_place(const BootConfig& boot);

}  // namespace gpuvm
