// SPDX-License-Identifier: Apache-2.0
// The command line of gpuvm gitlab-executor, whose words are the runner's: main.cpp has the others.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "vmm/cli/verbs/verbs.hpp"

namespace gpuvm::cli {

/// Both outlive the parsing.
void add_gitlab_executor(CLI::App& app, GitlabArguments& arguments,
                         std::function<Result<int>()>& verb);

}  // namespace gpuvm::cli
