#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Peer-to-peer DMA: one device of the guest reads another's BAR and writes a third's, a GPU's frame buffer; only with p2p = true.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
cc -static -O2 -Wall -Wextra -o "$OUT/peer_dma" tests/lab/guest/peer_dma.c
inside bar=64M,edu,gpu2 p2p.sh
rm -f "$OUT/bar.mem"
