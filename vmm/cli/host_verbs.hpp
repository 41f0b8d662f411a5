// SPDX-License-Identifier: Apache-2.0
// The verbs of the command line that look at a host: check and devices.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "vmm/cli/verbs/verbs.hpp"

namespace gpuvm::cli {

/// What a command line comes to; returns the exit status.
using Verb = std::function<Result<int>()>;

/// Both keep references to `arguments` and `verb`, which they fill when the command line is parsed.
void add_check(CLI::App& app, CheckArguments& arguments, Verb& verb);
void add_devices(CLI::App& app, DevicesArguments& arguments, Verb& verb);

}  // namespace gpuvm::cli
