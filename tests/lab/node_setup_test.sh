#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# configs/compute-node.toml with all that sets a guest up: cloud-init's user data, a credential, a key of gpuvm's own and gpuvm ssh by
# vsock, folders of the host both ways, and a disk whose changes are thrown away; in a Debian system of scripts/make-image.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
LAB_NODE_TEST=setup inside gpu node.sh --timeout 1200
