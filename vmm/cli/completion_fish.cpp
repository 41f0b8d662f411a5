// SPDX-License-Identifier: Apache-2.0
// Completion for fish from 3.0 on (complete(1) of fish). Places are not counted: what any of a
// verb's may be is offered at each.
#include <fmt/format.h>

#include <set>

#include "vmm/cli/completion.hpp"

namespace gpuvm::cli {
namespace {

constexpr std::string_view kFishBegin =
    R"SHELL(# fish completion for gpuvm; made by "gpuvm completion fish"

function __gpuvm_devices
    set -q _gpuvm_sysfs; or set -l _gpuvm_sysfs /sys
    for entry in $_gpuvm_sysfs/bus/pci/devices/*
        string replace -r '.*/' '' -- $entry
    end
end

# __gpuvm_names PATTERN PATH...: what of each path's last part is in the pattern's second group, where that can be a name of a guest
# or a pool. Others may have made these files.
function __gpuvm_names
    for entry in $argv[2..-1]
        set -l name (string replace -r '.*/' '' -- $entry | string replace -r $argv[1] '$2')
        string match -r '^[A-Za-z0-9][A-Za-z0-9._-]*$' -- $name
    end | sort -u
end

# Those that run: each has a socket, or what "gpuvm ssh" finds it by.
function __gpuvm_guests
    set -l found /run/gpuvm/*.sock /run/gpuvm/guest-*.run $XDG_RUNTIME_DIR/gpuvm/*.sock $XDG_RUNTIME_DIR/gpuvm/guest-*.run
    __gpuvm_names '^(guest-)?(.*)\.(sock|run)$' $found
end

function __gpuvm_pools
    set -l found /run/gpuvm/*.pool $XDG_RUNTIME_DIR/gpuvm/*.pool
    __gpuvm_names '^()(.*)\.pool$' $found
end

function __gpuvm_configs
    __fish_complete_suffix .toml
end

function __gpuvm_configs_guests
    __gpuvm_configs
    __gpuvm_guests
end

# Whether the command line's verbs are these.
function __gpuvm_at
    set -l at
    for word in (commandline -opc)[2..-1]
        contains -- "$at $word" $__gpuvm_paths; or break
        set at $at $word
    end
    test "$at" = "$argv[1]"
end

complete -c gpuvm -f
)SHELL";

/// As fish reads it: a backslash stands for itself unless before a quote or another one.
std::string fish_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' || c == '\\' ? "\\" : "";
    quoted += c;
  }
  return quoted + '\'';
}

/// Options of "complete" that offer what a value may be.
std::string fish_offer(const ValueKind& kind) {
  constexpr std::string_view kWordsKind = "words ";
  if (kind.starts_with(kWordsKind)) {
    return fmt::format(" -a {}", fish_quoted(kind.substr(kWordsKind.size())));
  }
  if (kind == "files") {
    return " -F";
  }
  if (kind == "folders") {
    return " -a '(__fish_complete_directories)'";
  }
  if (kind == "devices_files") {
    return " -F -a '(__gpuvm_devices)'";
  }
  return kind == "nothing" ? "" : fmt::format(" -a '(__gpuvm_{})'", kind);
}

std::string fish_option(const std::string& condition, const CompletedOption& option) {
  auto line = condition;
  for (const std::string_view name : option.names) {
    const bool is_long = name.starts_with("--");
    line += fmt::format(" -{} {}", is_long ? "l" : "s", name.substr(is_long ? 2 : 1));
  }
  if (!option.value.empty()) {
    // -x: nothing beside what is offered; -r: files, too.
    const bool is_file = option.value == "files" || option.value == "devices_files";
    line += fmt::format(" -{}{}", is_file ? 'r' : 'x', fish_offer(option.value));
  }
  return fmt::format("{} -d {}\n", line, fish_quoted(option.description));
}

}  // namespace

std::string fish_completion(const CompletedVerb& root) {
  std::string paths = "set -g __gpuvm_paths";
  std::string lines;
  for (const CompletedVerb* verb : all_verbs(root)) {
    if (!verb->path.empty()) {
      // As __gpuvm_at makes them: the outer verbs, which may be none, a space, and the verb.
      const bool is_outer = verb->path.find(' ') == std::string::npos;
      paths +=
          fmt::format(" {}", fish_quoted(fmt::format("{}{}", is_outer ? " " : "", verb->path)));
    }
    const auto condition =
        fmt::format("complete -c gpuvm -n {}",
                    fish_quoted(fmt::format("__gpuvm_at {}", fish_quoted(verb->path))));
    for (const CompletedVerb& each : verb->verbs) {
      lines += fmt::format("{} -a {} -d {}\n", condition, each.name, fish_quoted(each.description));
    }
    for (const CompletedOption& each : verb->options) {
      lines += fish_option(condition, each);
    }
    for (const auto& kind : std::set<ValueKind>(verb->places.begin(), verb->places.end())) {
      const auto offer = fish_offer(kind);
      lines += offer.empty() ? offer : fmt::format("{}{}\n", condition, offer);
    }
  }
  return fmt::format("{}{}\n{}", kFishBegin, paths, lines);
}

}  // namespace gpuvm::cli
