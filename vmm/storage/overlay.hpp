// SPDX-License-Identifier: Apache-2.0
// An empty qcow2 image without a name: what is written to it is gone when the last descriptor is
// closed, however that comes. It says nothing of a backing file: whoever opens it says so.
#pragma once

#include <cstdint>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// `size`: of the disk, bytes. It lies in /var/tmp, or for other users than root where TMPDIR says.
/// Errors: kHost; kConfig: the disk is too large.
Result<UniqueFd> make_overlay(std::uint64_t size);

}  // namespace gpuvm
