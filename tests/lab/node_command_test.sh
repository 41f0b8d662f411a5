#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian 12 image of scripts/make-image runs a command that it has as a credential, by its own unit, and gives the status by the
# status port. Without one it does nothing of that sort: the other tests of nodes.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

use_node_image
fresh_out
inside none systemd.sh --timeout 1200
