// SPDX-License-Identifier: Apache-2.0
// The verbs of the command line that run guests: run, test and pool.
#pragma once

#include <CLI/CLI.hpp>

#include "vmm/cli/host_verbs.hpp"
#include "vmm/cli/verbs/verbs.hpp"

namespace gpuvm::cli {

/// Of `gpuvm test`, whatever is wrong: its other exit statuses are the guest's.
inline constexpr int kJobFault = 122;

/// All keep references to `arguments` and `verb`, which they fill when the command line is parsed.
void add_run(CLI::App& app, RunArguments& arguments, Verb& verb);
void add_test(CLI::App& app, TestArguments& arguments, Verb& verb);
void add_pool(CLI::App& app, PoolArguments& arguments, Verb& verb);

}  // namespace gpuvm::cli
