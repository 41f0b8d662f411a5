// SPDX-License-Identifier: Apache-2.0
// The command line of gpuvm convert.
#pragma once

#include <CLI/CLI.hpp>

#include "vmm/cli/host_verbs.hpp"
#include "vmm/cli/verbs/verbs.hpp"

namespace gpuvm::cli {

/// Keeps references to `arguments` and `verb`, which it fills when the command line is parsed.
void add_convert(CLI::App& app, ConvertArguments& arguments, Verb& verb);

}  // namespace gpuvm::cli
