// SPDX-License-Identifier: Apache-2.0
// configs/reference.toml as it was when this gpuvm was built.
#pragma once

#include <string_view>

namespace gpuvm::schema {

/// Any thread; the text lives as long as the program.
std::string_view reference_text();

}  // namespace gpuvm::schema
