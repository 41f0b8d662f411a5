// SPDX-License-Identifier: Apache-2.0
// Memory of a fake card as a file, which clients map.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::fake_gpu {

/// A file of this size; without a path it has no name. Errors: kHost.
Result<UniqueFd> memory_file(const std::string& path, std::uint64_t size);

}  // namespace gpuvm::fake_gpu
