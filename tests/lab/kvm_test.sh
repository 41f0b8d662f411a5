#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests of tests/kvm in the lab host, whose KVM is a whole one: none may be skipped. LAB_KVM_RUNS=1000 runs all of them so
# often, many at once: an interrupt that gets lost once in a thousand times shows itself. LAB_KVM_TESTS is another build of them.
set -euo pipefail
cd "$(dirname "$0")/../.."

runs=${LAB_KVM_RUNS:-1}
for program in ${LAB_KVM_TESTS:-build/ci/tests/kvm/kvm_tests build/dev/tests/kvm/kvm_tests}; do
  [[ ! -x $program ]] || break
done
[[ -x $program ]] || { echo "kvm_tests is missing; build it: cmake --preset dev && cmake --build --preset dev --target kvm_tests" >&2; exit 1; }
exec scripts/lab --devices none --timeout $((240 + 20 * runs)) -- tests/lab/inside/kvm.sh "$program" "$runs"
