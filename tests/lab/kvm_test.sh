#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests of tests/kvm in the lab host, whose KVM is a whole one: none may be skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=
for preset in ci dev; do
  program=build/$preset/tests/kvm/kvm_tests
  [[ ! -x $program ]] || break
done
[[ -x $program ]] || { echo "kvm_tests is missing; build it: cmake --preset dev && cmake --build --preset dev --target kvm_tests" >&2; exit 1; }
. tests/lab/lib/run_lab.sh
output=$(mktemp)
trap 'rm -f "$output"' EXIT
run_lab "$output" --devices none --timeout 240 -- env GPUVM_KVM_TESTS_MUST_RUN=1 "$program" --gtest_brief=1
