// SPDX-License-Identifier: Apache-2.0
// Scripts that make shells complete gpuvm's command line. They are made of the tree of verbs and
// options that CLI11 has, so nothing is listed twice; only what a value is follows from its name in
// the help (CONFIG, BDF, GUEST, FILE …). Missing: keys behind --set.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace gpuvm::cli {

/// What a shell offers for a value: a word that the scripts have a rule for, "nothing", "files",
/// "folders", "configs", "configs_guests", "devices", "guests", "devices_files", or "words" and
/// words behind it.
using ValueKind = std::string;

struct CompletedOption {
  std::vector<std::string> names;  ///< "-v", "--verbose"
  std::string description;         ///< one line
  ValueKind value;                 ///< "" for one without a value
};

/// A verb, or the program itself.
struct CompletedVerb {
  std::string path;  ///< "rom show"; "" for the program
  std::string name;  ///< "show"
  std::string description;
  std::vector<CompletedVerb> verbs;
  std::vector<CompletedOption> options;
  std::vector<ValueKind> places;     ///< of what stands there without an option
  bool has_last_place_more = false;  ///< whether several may stand at the last place
};

/// Without what the help does not show.
CompletedVerb completed_verb(const CLI::App& app);
/// That verb and all below it, outer ones first.
std::vector<const CompletedVerb*> all_verbs(const CompletedVerb& root);

std::string bash_completion(const CompletedVerb& root);
std::string zsh_completion(const CompletedVerb& root);
std::string fish_completion(const CompletedVerb& root);

/// 'it'\''s', as POSIX shells read it.
std::string single_quoted(std::string_view text);
/// The function _gpuvm_value of bash and zsh: what is behind the verbs $1 and the option, or at the
/// place, $2; nothing for an option without a value.
std::string value_function(const CompletedVerb& root);

}  // namespace gpuvm::cli
