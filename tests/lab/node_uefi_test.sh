#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# configs/render-node.toml, with a Debian system that scripts/make-image has made: OVMF starts it from its disk beside a GPU and a USB
# controller, it is reached by ssh through a tap on a bridge, and powers off at SIGTERM.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
LAB_NODE_TEST=render inside gpu,usb node.sh --timeout 1200
