#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm gitlab-executor with real guests: two jobs in a Debian system that has the GPU, by the stages that GitLab Runner calls.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
LAB_NODE_TEST=gitlab inside gpu node.sh --timeout 2400
