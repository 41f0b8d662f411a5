// SPDX-License-Identifier: Apache-2.0
// What is said of a command line without a verb that there is.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>

namespace gpuvm::cli {

/// What to say where a verb is expected and another word, or nothing, stands; CLI11 speaks of
/// unexpected arguments and subcommands.
/// `words`: those behind the name of `app`. Nothing: its verb is one, and CLI11 does the rest.
std::optional<std::string> wrong_verb(const CLI::App& app, std::span<const char* const> words);

}  // namespace gpuvm::cli
