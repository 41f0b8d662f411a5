#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# README.md's first guest with the program of the package: check, devices, the printed entry, a dry run, a run.
. "$(dirname "$0")/../lib/inside.sh"

expect 'check: the host is ready' "$GPUVM" check
"$GPUVM" devices --gpu | tee "$WORK/printed.log"
sed -n '/^# .*: can be passed/,$p' "$WORK/printed.log" | make_guest first show_drivers
expect 'check: the guest is, too' "$GPUVM" check "$WORK/first.toml"
expect 'dry run' "$GPUVM" run --dry-run "$WORK/first.toml"
run_guest first
expect 'the guest ends well' test "$guest_status" = 0
expect 'and has the GPU' guest_driver 1234:1111 bochs-drm
finish
