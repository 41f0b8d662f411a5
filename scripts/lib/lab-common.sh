# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What scripts/lab and scripts/guest-image share: places, messages, the lock on the cache. Sourced, never run.

LAB_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB_CACHE=$LAB_REPO/build/lab
# shellcheck disable=SC2034
LAB_CALLER_PATH=$PATH
# depmod, modprobe and lspci live where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin
LAB_SELF=${0##*/}
# A command that fails unexpectedly ends the script: say which. (A subshell has said so itself, or has said better what is wrong.)
set -E
trap '[[ $BASH_COMMAND == "("* ]] || printf "%s: failed at %s:%s: %s\n" "$LAB_SELF" "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND" >&2' ERR

lab_die() {
  printf '%s: %s\n' "$LAB_SELF" "$1" >&2
  exit "${2:-2}"
}

# One line for each stage that may take a while, on stderr, with the seconds since the script started.
lab_stage() {
  printf '%s: [%3d s] %s\n' "$LAB_SELF" "$SECONDS" "$1" >&2
}

lab_verbose() {
  if [[ ${LAB_IS_VERBOSE:-0} == 1 ]]; then
    lab_stage "$1"
  fi
}

# Everything that changes the cache runs under this lock: two calls at once must not build the same thing twice.
# The lock goes with the function's subshell, so neither QEMU nor an interrupted call can keep it.
lab_with_lock() {
  mkdir -p "$LAB_CACHE"
  (
    if ! flock -w 2 9; then
      lab_stage "waiting for another call that fills $LAB_CACHE"
      flock 9
    fi
    "$@" 9>&-
  ) 9>"$LAB_CACHE/.lock"
}

# A directory that becomes visible in one rename: an interrupted call leaves a .tmp folder, never half a cache entry.
lab_tmp_dir() {
  mkdir -p "$LAB_CACHE/.tmp"
  mktemp -d "$LAB_CACHE/.tmp/XXXXXX"
}

# Runs a command with its output in a log; shows the log's end and stops if it fails.
lab_logged() {
  local log=$LAB_CACHE/log/$1.log
  shift
  mkdir -p "$LAB_CACHE/log"
  if ! "$@" >>"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    lab_die "'$1 ${2:-}' failed; the whole output is in $log" 1
  fi
}
