// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// Writes all of it; `path` is for the message. Errors: kHost.
Status write_text(int fd, std::string_view text, const std::string& path);

}  // namespace gpuvm
