#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Debian node that is set up at its first boot: user data by cloud-init, a credential, gpuvm ssh by vsock with a key of its own,
# folders of the host's, and a disk whose writes are thrown away.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
LAB_NODE_TEST=setup inside gpu node.sh --timeout 1200
