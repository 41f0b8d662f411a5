#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kvm.sh PROGRAM [RUNS]: the tests of PROGRAM so often (1), ten runs at once, none of whose tests may be skipped.
set -euo pipefail

program=$1 runs=${2:-1}
AT_ONCE=10
LIMIT=900 # seconds for one run, which takes 20 beside nine others: longer is for ever
export GPUVM_KVM_TESTS_MUST_RUN=1
if ((runs == 1)); then
  exec "$program" --gtest_brief=1
fi

work=$(mktemp -d)
ended=0 failed=0
declare -A running=()

# Takes the verdict of the next run that ends.
await_one() {
  local pid status=0
  wait -n -p pid "${!running[@]}" || status=$?
  ended=$((ended + 1))
  if ((status != 0)); then
    failed=$((failed + 1))
    printf 'NOT OK: run %d ended with status %d\n' "${running[$pid]}" "$status"
    tail -n 20 "$work/${running[$pid]}"
  fi
  rm -f "$work/${running[$pid]}"
  unset "running[$pid]"
  ((ended % 50 != 0)) || printf '%d runs so far, %d failed, %d s\n' "$ended" "$failed" "$SECONDS"
}

for ((run = 1; run <= runs; run++)); do
  ((${#running[@]} < AT_ONCE)) || await_one
  timeout -k 1 "$LIMIT" "$program" --gtest_brief=1 >"$work/$run" 2>&1 &
  running[$!]=$run
done
while ((${#running[@]} > 0)); do await_one; done
printf '%d runs, %d failed\n' "$ended" "$failed"
((failed == 0))
