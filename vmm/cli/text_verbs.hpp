// SPDX-License-Identifier: Apache-2.0
// Verbs that print a text for other programs: the configuration's schema, completion for shells.
#pragma once

#include <CLI/CLI.hpp>

#include "vmm/cli/host_verbs.hpp"

namespace gpuvm::cli {

struct CompletionArguments {
  std::string shell;
};

void add_schema(CLI::App& app, Verb& verb);
/// Of the whole tree of `app`, which lives until the verb is done.
void add_completion(CLI::App& app, CompletionArguments& arguments, Verb& verb);

}  // namespace gpuvm::cli
