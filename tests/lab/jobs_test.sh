#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many jobs in a row: four callers of gpuvm test --wait share two cards. No card is given twice, who came first is served first, no verdict
# is wrong, nothing is left. Environment: JOBS, how many (20).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. "$(dirname "$0")/lib/jobs.sh"

export LAB_JOBS=${JOBS:-20}
[[ $LAB_JOBS =~ ^[1-9][0-9]{0,3}$ ]] || { echo "JOBS is a number of jobs, 1 to 9999" >&2; exit 1; }
fresh_out
build_job_guest
# The second card is like the first, but for the size of BAR 0, by which a guest tells them apart.
export LAB_QEMU_EXTRA="-drive if=none,id=ssd2,driver=null-co,size=1M \
  -device nvme,id=nvme2,bus=rp.edu,serial=gpuvm-lab-2,drive=ssd2,max_ioqpairs=2000,msix_qsize=65"
status=0
inside nvme jobs.sh --timeout $((600 + 60 * LAB_JOBS)) || status=$?
for job in "$OUT"/jobs/*.tar; do tar -C "$OUT/jobs" -xf "$job"; done
tests/lab/lib/judge_jobs.pl "$OUT" "$LAB_JOBS" || status=1
exit "$status"
