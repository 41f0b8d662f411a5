#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# configs/compute-node.toml, with a Debian system that scripts/make-image has made: it boots to its login by boot.mode = "linux",
# owns a GPU and a USB controller, is reached by ssh through mode = "user", comes back after a reboot, and powers off at SIGTERM.
# LAB_NODE_REBOOTS: how often it reboots (1).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
LAB_NODE_TEST=compute inside gpu,usb node.sh --timeout $((1100 + 100 * ${LAB_NODE_REBOOTS:-1}))
