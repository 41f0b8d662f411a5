#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A card that is free: found by match, queued for by several gpuvms, kept from a second owner, whoever is killed.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,gpu2 cards.sh
