#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=36G
#SBATCH --time=30
#SBATCH --output=job-%j.log
# One test in a guest that has the job's card: its exit status is the job's (docs/ci.md).
set -euo pipefail
exec gpuvm test --set "name=job-$SLURM_JOB_ID" --set "pci.0.host=$GPUVM_CARDS" --set machine.cpus="$SLURM_CPUS_PER_TASK" \
  --artifacts "artifacts-$SLURM_JOB_ID" --result-json "result-$SLURM_JOB_ID.json" guest.toml
