#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# examples/slurm with Slurm's own daemons, a controller and two nodes with a card each on one machine: jobs that run gpuvm test, no card
# given twice; a card that leaves the bus drains its node, the queue goes on on the other, and the node comes back with its card.
# Environment: SLURM_JOBS, how many (12).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. "$(dirname "$0")/lib/jobs.sh"

export LAB_SLURM_JOBS=${SLURM_JOBS:-12}
[[ $LAB_SLURM_JOBS =~ ^[1-9][0-9]{0,2}$ ]] || { echo "SLURM_JOBS is a number of jobs, 1 to 999" >&2; exit 1; }
[[ -x /usr/sbin/slurmctld && -x /usr/sbin/slurmd && -x /usr/sbin/munged ]] || skip "Slurm is missing: apt-get install slurmctld slurmd munge"
fresh_out
build_job_guest
# The second card is like the first, but for the size of BAR 0, by which a guest tells them apart.
export LAB_QEMU_EXTRA="-drive if=none,id=ssd2,driver=null-co,size=1M \
  -device nvme,id=nvme2,bus=rp.edu,serial=gpuvm-lab-2,drive=ssd2,max_ioqpairs=2000,msix_qsize=65"
inside nvme slurm.sh --timeout $((900 + 30 * LAB_SLURM_JOBS))
