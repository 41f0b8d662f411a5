#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm test with a device that is lost in mid-run: its server is killed, the host takes it away, it is reset unseen and has lost its BARs.
# Status, channel and artifacts of each; and what the next job finds. Environment: LOST_CUT (yes: also one that does not answer any more, which takes eight minutes).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. "$(dirname "$0")/lib/jobs.sh"

export LAB_FAKE_GPU=${LAB_FAKE_GPU:-$(dirname "$LAB_GPUVM")/tests/fake_gpu/fake_gpu}
[[ -x $LAB_FAKE_GPU ]] || { echo "$LAB_FAKE_GPU is missing; build the target fake_gpu, for instance with the preset ci" >&2; exit 1; }
export LAB_LOST_CUT=${LOST_CUT:-}
fresh_out
build_job_guest
inside nvme lost_device.sh --timeout 2400
