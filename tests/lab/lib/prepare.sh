#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fetches and builds what all lab tests share, so that tests which run at once do not do it at once.
set -euo pipefail
. "$(dirname "$0")/outside.sh"

scripts/lab --prepare
scripts/lab --prepare --devices vgl
scripts/lab --print-mesa >/dev/null
for kernel in 6.12 6.1 6.12-cloud; do
  use_kernel "$kernel"
done
