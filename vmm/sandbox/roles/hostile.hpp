// SPDX-License-Identifier: Apache-2.0
// Where a test makes a thread turn hostile once it has entered its role.
#pragma once

#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

/// Does nothing; in the test program hostile_gpuvm (tests/hostile) it tries what a guest that has
/// taken the thread over would try.
void act_hostile(ThreadRole role);

}  // namespace gpuvm::sandbox
