#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# configs/compute-node.toml with boot.mode = "efi-handover", and a Debian system that scripts/make-image has made: its login, ssh, the
# GPU, power off at SIGTERM.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
LAB_NODE_TEST=handover inside gpu node.sh --timeout 1200
