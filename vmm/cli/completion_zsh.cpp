// SPDX-License-Identifier: Apache-2.0
// Completion for zsh (zshcompsys(1)): as a file _gpuvm in a folder of fpath, or sourced.
#include <fmt/format.h>

#include "vmm/cli/completion.hpp"

namespace gpuvm::cli {
namespace {

constexpr std::string_view kZshBegin = R"SHELL(#compdef gpuvm
# zsh completion for gpuvm; made by "gpuvm completion zsh"

_gpuvm_devices() {
  local -a entries=("${_gpuvm_sysfs:-/sys}"/bus/pci/devices/*(N:t))
  compadd -- $entries
}

# Those that run: each has a socket, or what "gpuvm ssh" finds it by.
_gpuvm_guests() {
  local -a folders=("${_gpuvm_run:-/run}/gpuvm" "${XDG_RUNTIME_DIR:-/nonexistent}/gpuvm")
  local -aU guests=($^folders/*.sock(N:t:r) ${${(M)$(print -l $^folders/guest-*.run(N:t:r))}#guest-})
  compadd -- $guests
}

_gpuvm_pools() {
  local -a folders=("${_gpuvm_run:-/run}/gpuvm" "${XDG_RUNTIME_DIR:-/nonexistent}/gpuvm")
  local -aU pools=($^folders/*.pool(N:t:r))
  compadd -- $pools
}

)SHELL";

constexpr std::string_view kZshEnd = R"SHELL(
_gpuvm_offer() {
  case $1 in
    files) _files ;;
    folders) _files -/ ;;
    configs) _files -g '*.toml' ;;
    configs_guests) _gpuvm_guests; _files -g '*.toml' ;;
    devices) _gpuvm_devices ;;
    guests) _gpuvm_guests ;;
    pools) _gpuvm_pools ;;
    devices_files) _gpuvm_devices; _files ;;
    words\ *) compadd -- ${=1#words } ;;
  esac
}

_gpuvm() {
  local word verbs='' option='' index place=0
  local -a lines
  for ((index = 2; index < CURRENT; ++index)); do
    word=$words[index]
    lines=("${(@f)$(_gpuvm_verbs "$verbs")}")
    if [[ -n $option ]]; then
      option=''
    elif ((place == 0 && ${lines[(I)$word:*]})); then
      verbs+=${verbs:+ }$word
    elif [[ $word == -- ]]; then
      return 1 # what follows is the guest's
    elif [[ $word == -* ]]; then
      [[ $word == *=* || -z $(_gpuvm_value "$verbs" "$word") ]] || option=$word
    else
      ((++place))
    fi
  done
  if [[ -n $option ]]; then
    _gpuvm_offer "$(_gpuvm_value "$verbs" "$option")"
  elif [[ $PREFIX == --*=* ]]; then
    option=${PREFIX%%=*}
    compset -P '*='
    _gpuvm_offer "$(_gpuvm_value "$verbs" "$option")"
  elif [[ $PREFIX == -* ]]; then
    lines=("${(@f)$(_gpuvm_options "$verbs")}")
    _describe -o option lines
  elif [[ -n $(_gpuvm_verbs "$verbs") ]]; then
    lines=("${(@f)$(_gpuvm_verbs "$verbs")}")
    _describe verb lines
  else
    _gpuvm_offer "$(_gpuvm_value "$verbs" $((place + 1)))"
  fi
}

if [[ $funcstack[1] == _gpuvm ]]; then
  _gpuvm "$@"
else
  compdef _gpuvm gpuvm
fi
)SHELL";

}  // namespace

std::string zsh_completion(const CompletedVerb& root) {
  std::string verbs = "_gpuvm_verbs() {\n  case $1 in\n";
  std::string options = "_gpuvm_options() {\n  case $1 in\n";
  for (const CompletedVerb* verb : all_verbs(root)) {
    std::string below;
    for (const CompletedVerb& each : verb->verbs) {
      below += fmt::format(" {}", single_quoted(fmt::format("{}:{}", each.name, each.description)));
    }
    if (!below.empty()) {
      verbs += fmt::format("    {}) print -rl --{} ;;\n", single_quoted(verb->path), below);
    }
    std::string names;
    for (const CompletedOption& each : verb->options) {
      for (const auto& name : each.names) {
        names += fmt::format(" {}", single_quoted(fmt::format("{}:{}", name, each.description)));
      }
    }
    options += fmt::format("    {}) print -rl --{} ;;\n", single_quoted(verb->path), names);
  }
  return fmt::format("{}{}  esac\n}}\n\n{}  esac\n}}\n\n{}{}", kZshBegin, verbs, options,
                     value_function(root), kZshEnd);
}

}  // namespace gpuvm::cli
