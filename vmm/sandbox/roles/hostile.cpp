// SPDX-License-Identifier: Apache-2.0
// A file of its own, and no part of a unity build: tests/hostile puts another one in its place.
#include "vmm/sandbox/roles/hostile.hpp"

namespace gpuvm::sandbox {

void act_hostile(ThreadRole) {}

}  // namespace gpuvm::sandbox
