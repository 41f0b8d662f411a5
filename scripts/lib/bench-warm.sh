#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench warm that runs in the lab host: RUNS times the same job, which does nothing, in a Debian guest that boots for
# it and in one that waits in a pool (docs/pool.md), in turn; without a card, and with one that is plugged into the guest that waits.
# Leaves $LAB_OUT/cold-plain.N, warm-plain.N, cold-card.N and warm-card.N with lines NAME=VALUE: wall (from the start of gpuvm test to its
# end), resets (what of it resets of the card took), seconds (the rest), and plug_ms, from the plug to the guest's announcement.
# The system is that of LAB_NODE (tests/lab/lib/node_image.sh).
# Usage: bench-warm.sh RUNS GPUVM BDF
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
runs=$1 gpuvm=$2 device=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# write_config plain|card
write_config() {
  cat <<END
name = "bench"
[machine]
memory = "1GiB"
$([[ $1 == plain ]] || echo 'free_ports = 1')
[boot]
kernel = "node/vmlinuz"
initrd = "node/initrd.img"
cmdline = "$LAB_NODE_CMDLINE panic=-1 nowatchdog"
[cpu]
hide = ["xsave"]
[console]
serial = ["off"]
[[disk]]
path = "node.img"
throwaway = true
[test]
timeout = "20min"
END
  # A confined monitor has no right to open a card that comes later.
  [[ $1 == plain ]] || printf '[sandbox]\nmode = "off"\n[[pci]]\nhost = "%s"\n' "$device"
}

# run_job CONFIG [OPTION…]
# shellcheck disable=SC2317 # measure calls it
run_job() {
  local config=$1 begin=$EPOCHREALTIME end
  shift
  "$gpuvm" test --result-json "$work/result.json" "$@" "$work/$config.toml" -- true >"$work/console" 2>"$work/log" </dev/null \
    || { tail -n 20 "$work/log" >&2; return 1; }
  end=$EPOCHREALTIME
  jq -r --arg wall "$(awk -v a="$begin" -v b="$end" 'BEGIN { print b - a }')" \
    '((([.resets[]?.duration_ms] | add) // 0) / 1000) as $resets | "seconds=\(($wall | tonumber) - $resets)", "wall=\($wall)", "resets=\($resets)"' \
    "$work/result.json"
  sed -nE 's/.* is plugged into .* after ([0-9]+) ms.*/plug_ms=\1/p' "$work/log"
}

await_pool() {
  local tries
  for ((tries = 0; tries < 900; tries++)); do
    ! "$gpuvm" ps | grep -q '^bench-.* paused' || return 0
    kill -0 "$pool" 2>/dev/null || break
    sleep 1
  done
  tail -n 20 "$work/pool.log" >&2
  return 1
}

measure_config() {
  local run
  "$gpuvm" pool --size 1 "$work/$1.toml" </dev/null >/dev/null 2>"$work/pool.log" &
  pool=$!
  for ((run = 0; run <= runs; run++)); do
    measure "cold-$1" "$run" run_job "$1"
    await_pool || { failed=1; break; }
    measure "warm-$1" "$run" run_job "$1" --warm bench
  done
  kill "$pool"
  wait "$pool" || failed=1
}

tar -C "$work" -xSf "$LAB_NODE/node.tar"
for config in plain card; do
  write_config "$config" >"$work/$config.toml"
  measure_config "$config"
done
exit "$failed"
