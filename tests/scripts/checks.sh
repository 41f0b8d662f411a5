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

finish() {
  printf '%d checks, %d failed\n' "$checks" "$failed_checks"
  ((checks > 0 && failed_checks == 0))
}
