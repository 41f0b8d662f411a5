# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the tests of scripts share: checks that are counted, a folder for files. Sourced.

set -euo pipefail
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
declare -i checks=0 failed_checks=0

# expect DESCRIPTION COMMAND…: one check; only one that fails says so.
expect() {
  local what=$1
  shift
  checks+=1
  if ! "$@" >"$WORK/expect" 2>&1; then
    failed_checks+=1
    printf 'NOT OK: %s (%s)\n' "$what" "$*"
    tail -n 5 "$WORK/expect"
  fi
}
not() { ! "$@"; }
same() { [[ $1 == "$2" ]] || { printf 'is: %s\nnot: %s\n' "$1" "$2" && return 1; }; }

# alone TEST: in a subshell.
alone() {
  local counts=$WORK/$1.counts
  checks=0 failed_checks=0 WORK=$WORK/$1
  mkdir "$WORK"
  "$1"
  printf '%d %d\n' "$checks" "$failed_checks" >"$counts"
}

# together COUNT TEST…: tests (functions) that have nothing in common, COUNT of them at once, since most only wait. Each is in a subshell
# and has a WORK of its own, in the common one; what it says and counts is told when all have ended. One that breaks off has failed.
together() {
  local most=$1 all=$WORK test passed failed
  shift
  for test in "$@"; do
    while (($(jobs -rp | wc -l) >= most)); do wait -n || true; done
    alone "$test" >"$all/$test.said" 2>&1 &
  done
  wait
  for test in "$@"; do
    cat "$all/$test.said"
    passed=0 failed=1
    read -r passed failed <"$all/$test.counts" || printf 'NOT OK: %s broke off\n' "$test"
    checks+=${passed:-0} failed_checks+=${failed:-1}
  done
}

finish() {
  printf '%d checks, %d failed\n' "$checks" "$failed_checks"
  ((checks > 0 && failed_checks == 0))
}
