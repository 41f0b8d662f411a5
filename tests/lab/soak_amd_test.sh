#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As soak_vgpu_test.sh, behind an AMD IOMMU, and shorter: what differs is how devices and memory come and go there. Takes QEMU of
# Debian sid.
set -euo pipefail
SOAK_SETS=vgpu,nvme SOAK_IOMMU=amd SOAK_REBOOTS=${SOAK_REBOOTS:-3} SOAK_RUNS=${SOAK_RUNS:-1} SOAK_KILLS=${SOAK_KILLS:-1} \
  exec "$(dirname "$0")/soak_test.sh"
