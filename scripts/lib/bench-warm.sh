#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# scripts/bench warm: the same job, which does nothing, in a Debian guest that boots for it and in one that waits in a pool
# (docs/pool.md), in turn; without a card, and with one where gpuvm can plug cards in. Printed are medians of the time from the start of
# gpuvm test to its end, what of it the card's resets took, and from the plug to the guest's announcement. A warm job is to take at most a
# quarter of a cold one without the resets of the card.
# Usage: bench-warm.sh [--runs N] [--json FILE] [--gpuvm FILE]
#        bench-warm.sh inside RUNS GPUVM: the part that runs in the lab host
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
WARM_TARGET=0.25
DEVICE=0000:04:00.0

# ---- In the lab host. Leaves $LAB_OUT/NAME.N with lines NAME=VALUE, as bench-measure.sh says.

write_config() {
  cat <<END
name = "bench"
[machine]
memory = "1GiB"
$([[ $1 == plain ]] || ! has_attach || echo 'free_ports = 1')
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
  [[ $1 == plain ]] || printf '[[pci]]\nhost = "%s"\n' "$DEVICE"
}
has_attach() { "$gpuvm" attach --help >/dev/null 2>&1; }

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

be_inside() {
  . "$here/bench-measure.sh"
  runs=$1 gpuvm=$2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  tar -C "$work" -xSf "$LAB_NODE/node.tar"
  for config in plain card; do
    write_config "$config" >"$work/$config.toml"
  done
  measure_config plain
  if has_attach; then
    measure_config card
  else
    echo '  this gpuvm plugs no cards in'
  fi
  exit "$failed"
}

[[ ${1:-} != inside ]] || be_inside "${@:2}"

# ---- Outside.

. "$here/build.sh"
REPO=$GPUVM_REPO
cd "$REPO"
. tests/lab/lib/node_image.sh

# of NAME METRIC: the median of all runs; nothing where there is none.
of() {
  cat "$OUT/$1".[0-9]* 2>/dev/null | sed -n "s/^$2=//p" | sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
row() { printf '  %-32s %10s %10s\n' "$1" "$(of "cold-$2" "$3")" "$(of "warm-$2" "$3")"; }
# The verdict on a pair; nothing without one.
verdict() {
  awk -v cold="$(of "cold-$1" seconds)" -v warm="$(of "warm-$1" seconds)" -v most="$WARM_TARGET" -v name="$1" 'BEGIN {
    if (cold + 0 == 0 || warm == "") exit
    printf "  %s: warm is %.2f of cold; at most %s is wanted: %s\n", name, warm / cold, most, warm <= most * cold ? "met" : "not met" }'
}

runs=3 json='' gpuvm=''
while (($#)); do
  case $1 in
    --help | -h) sed -n '4,9s/^# //p' "${BASH_SOURCE[0]}" && exit 0 ;;
    --runs | --json | --gpuvm) (($# >= 2)) || die "$1 needs a value" ;;
    *) die "scripts/bench warm has no option $1: --runs, --json or --gpuvm" ;;
  esac
  case $1 in
    --runs) runs=$2 ;;
    --json) json=$2 ;;
    --gpuvm) gpuvm=$(readlink -f "$2") ;;
  esac
  shift 2
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || die "--runs is a number, not '$runs'"
OUT=$REPO/build/bench/warm
rm -rf "$OUT"
mkdir -p "$OUT"
if [[ -z $gpuvm ]]; then
  install_packages "${GPUVM_BUILD_PACKAGES[@]}" jq
  stage 'building gpuvm (build/release)'
  build_preset release || die 'the build failed'
  gpuvm=$REPO/build/release/gpuvm
fi
stage 'the guest: Debian 12 of scripts/make-image'
use_node_image
stage "measuring in the lab: $runs times cold and warm"
status=0
scripts/lab --devices nvme --memory 7G --out "$OUT" --timeout $((900 + runs * 900)) -- scripts/lib/bench-warm.sh inside "$runs" "$gpuvm" || status=1
[[ -n $(of cold-plain seconds) && -n $(of warm-plain seconds) ]] || die "no run worked; see $OUT"
printf '\n  %-32s %10s %10s\n' 'seconds of a job that does nothing' cold warm
row 'without a card' plain wall
if [[ -n $(of warm-card wall) ]]; then
  row 'with a card' card wall
  row 'of which its resets' card resets
  row 'without its resets' card seconds
  printf '  %-32s %10s %10s\n' 'from the plug to the driver (ms)' '' "$(of warm-card plug_ms)"
fi
verdict plain
verdict card
[[ -z $json ]] || for name in {cold,warm}-{plain,card}; do
  jq -n --arg name "$name" --arg seconds "$(of "$name" seconds)" --arg wall "$(of "$name" wall)" --arg resets "$(of "$name" resets)" \
    '{name: $name, seconds: ($seconds | tonumber?), wall: ($wall | tonumber?), resets: ($resets | tonumber?)}'
done | jq -s '{warm: .}' >"$json"
exit "$status"
