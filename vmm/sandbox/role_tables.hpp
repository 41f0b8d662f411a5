// SPDX-License-Identifier: Apache-2.0
// The allow lists of thread roles: which system calls a thread of a role may make, and what for.
#pragma once

#include <span>
#include <vector>

#include "vmm/sandbox/filter_row.hpp"
#include "vmm/sandbox/thread_role.hpp"

namespace gpuvm::sandbox {

/// Every role's: memory, locks, time, the log, the end of a thread.
std::span<const Row> common_rows();
/// A role's own.
std::span<const Row> rows_of(ThreadRole role);
/// Both, and rows for the owner's work left out where there is an owner.
std::vector<const Row*> all_rows(ThreadRole role, bool has_owner);

/// Whether a thread of the role still opens files until the owner has that.
bool opens_files(ThreadRole role, bool has_owner);

}  // namespace gpuvm::sandbox
