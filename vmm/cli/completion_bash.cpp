// SPDX-License-Identifier: Apache-2.0
// Completion for bash from 4.4 on (bash(1), Programmable Completion), without the package
// bash-completion.
#include <fmt/format.h>

#include "vmm/cli/completion.hpp"

namespace gpuvm::cli {
namespace {

constexpr std::string_view kBashBegin =
    R"SHELL(# bash completion for gpuvm; made by "gpuvm completion bash"
# shellcheck shell=bash

_gpuvm_devices() {
  local entry
  for entry in "${_gpuvm_sysfs:-/sys}"/bus/pci/devices/*; do
    [[ ! -e $entry || ${entry##*/} == *[!0-9a-f:.]* ]] || echo "${entry##*/}"
  done
}

# Those that run: each has a socket, or what "gpuvm ssh" finds it by.
_gpuvm_guests() {
  local entry name
  for entry in "${_gpuvm_run:-/run}"/gpuvm/*.sock "${_gpuvm_run:-/run}"/gpuvm/guest-*.run \
    "${XDG_RUNTIME_DIR:-/nonexistent}"/gpuvm/*.sock "${XDG_RUNTIME_DIR:-/nonexistent}"/gpuvm/guest-*.run; do
    [[ -e $entry ]] || continue
    name=${entry##*/}
    [[ $name != guest-*.run ]] || name=${name#guest-}
    name=${name%.*}
    # compgen -W takes its words for shell code, and others may have made this file.
    [[ $name == *[!A-Za-z0-9._-]* ]] || echo "$name"
  done | sort -u
}

# Those that have a socket.
_gpuvm_pools() {
  local entry name
  for entry in "${_gpuvm_run:-/run}"/gpuvm/*.pool "${XDG_RUNTIME_DIR:-/nonexistent}"/gpuvm/*.pool; do
    name=${entry##*/}
    name=${name%.pool}
    [[ ! -e $entry || $name == *[!A-Za-z0-9._-]* ]] || echo "$name"
  done | sort -u
}

)SHELL";

constexpr std::string_view kBashEnd = R"SHELL(
# _gpuvm_offer KIND CURRENT
_gpuvm_offer() {
  [[ $1 != files && $1 != folders && $1 != configs* ]] || compopt -o filenames 2>/dev/null
  case $1 in
    files) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    folders) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    configs) mapfile -t COMPREPLY < <({ compgen -f -X '!*.toml' -- "$2"; compgen -d -- "$2"; } | sort -u) ;;
    configs_guests) mapfile -t COMPREPLY < <({ compgen -f -X '!*.toml' -- "$2"; compgen -d -- "$2"; compgen -W "$(_gpuvm_guests)" -- "$2"; } | sort -u) ;;
    devices) mapfile -t COMPREPLY < <(compgen -W "$(_gpuvm_devices)" -- "$2") ;;
    guests) mapfile -t COMPREPLY < <(compgen -W "$(_gpuvm_guests)" -- "$2") ;;
    pools) mapfile -t COMPREPLY < <(compgen -W "$(_gpuvm_pools)" -- "$2") ;;
    devices_files) mapfile -t COMPREPLY < <(compgen -W "$(_gpuvm_devices)" -- "$2"; compgen -f -- "$2") ;;
    'words '*) mapfile -t COMPREPLY < <(compgen -W "${1#words }" -- "$2") ;;
  esac
  # Readline's word begins behind the last colon where colons end words, which they do not in quotes.
  if [[ -z $quote && $COMP_WORDBREAKS == *:* && $2 == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${2%"${2##*:}"}"}")
  fi
}

# _gpuvm_split LINE: its words, as the shell will have them, are "words"; the last one is what is being completed, and "quote" is
# the quote that is open in it.
_gpuvm_split() {
  local line=$1 char next word='' has_word='' index
  words=() quote=''
  for ((index = 0; index < ${#line}; ++index)); do
    char=${line:index:1} next=${line:index+1:1}
    if [[ -n $quote && $char == "$quote" ]]; then
      quote=''
    elif [[ $quote == "'" ]]; then
      word+=$char
    elif [[ $char == \\ && ( -z $quote || $next == [\\\$\"\`] ) ]]; then
      word+=$next has_word=1
      ((++index))
    elif [[ -n $quote ]]; then
      word+=$char
    elif [[ $char == [\'\"] ]]; then
      quote=$char has_word=1
    elif [[ $char != [[:space:]] ]]; then
      word+=$char has_word=1
    elif [[ -n $has_word ]]; then
      words+=("$word")
      word='' has_word=''
    fi
  done
  words+=("$word")
}

_gpuvm() {
  local words word index current quote verbs='' option='' place=0
  COMPREPLY=()
  _gpuvm_split "${COMP_LINE:0:COMP_POINT}"
  current=${words[${#words[@]} - 1]}
  for ((index = 1; index < ${#words[@]} - 1; ++index)); do
    word=${words[index]}
    if [[ -n $option ]]; then
      option=''
    elif ((place == 0)) && [[ " $(_gpuvm_verbs "$verbs") " == *" $word "* ]]; then
      verbs+=${verbs:+ }$word
    elif [[ $word == -- ]]; then
      return # what follows is the guest's
    elif [[ $word == -* ]]; then
      [[ $word == *=* || -z $(_gpuvm_value "$verbs" "$word") ]] || option=$word
    else
      ((++place))
    fi
  done
  if [[ -n $option ]]; then
    _gpuvm_offer "$(_gpuvm_value "$verbs" "$option")" "$current"
  elif [[ $current == --*=* ]]; then
    _gpuvm_offer "$(_gpuvm_value "$verbs" "${current%%=*}")" "${current#*=}"
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_gpuvm_options "$verbs")" -- "$current")
  elif [[ -n $(_gpuvm_verbs "$verbs") ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_gpuvm_verbs "$verbs")" -- "$current")
  else
    _gpuvm_offer "$(_gpuvm_value "$verbs" $((place + 1)))" "$current"
  fi
}

complete -F _gpuvm gpuvm
)SHELL";

}  // namespace

std::string bash_completion(const CompletedVerb& root) {
  std::string verbs = "_gpuvm_verbs() {\n  case $1 in\n";
  std::string options = "_gpuvm_options() {\n  case $1 in\n";
  for (const CompletedVerb* verb : all_verbs(root)) {
    std::vector<std::string> below;
    for (const CompletedVerb& each : verb->verbs) {
      below.push_back(each.name);
    }
    if (!below.empty()) {
      verbs +=
          fmt::format("    {}) echo '{}' ;;\n", single_quoted(verb->path), fmt::join(below, " "));
    }
    std::vector<std::string> names;
    for (const CompletedOption& each : verb->options) {
      names.insert(names.end(), each.names.begin(), each.names.end());
    }
    options +=
        fmt::format("    {}) echo '{}' ;;\n", single_quoted(verb->path), fmt::join(names, " "));
  }
  return fmt::format("{}{}  esac\n}}\n\n{}  esac\n}}\n\n{}{}", kBashBegin, verbs, options,
                     value_function(root), kBashEnd);
}

}  // namespace gpuvm::cli
