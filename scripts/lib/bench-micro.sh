#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# scripts/bench micro: times of the paths that a guest goes most often (tests/bench/paths.cpp), on this machine, without a lab. Options are
# Google Benchmark's.
set -euo pipefail

. "$(dirname "$0")/build.sh"
install_packages "${GPUVM_BUILD_PACKAGES[@]}" libbenchmark-dev
stage "building micro_bench (build/release)"
build_preset release micro_bench || die "the build failed"
exec "$GPUVM_REPO/build/release/tests/bench/micro_bench" --benchmark_counters_tabular=true "$@"
