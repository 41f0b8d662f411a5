#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest leaves in the memory of a GPU: the next guest finds it without scrub, and does not with scrub = "vram".
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
for program in bar_write bar_find; do
  cc -static -O2 -Wall -Wextra -Werror -o "$OUT/$program" "tests/lab/guest/$program.c"
done
inside gpu scrub.sh
