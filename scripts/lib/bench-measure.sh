# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the parts of scripts/bench that run in the lab host share. Sourced.

failed=0

# Waits, at most 30 s, until the lab host has nothing to do for two seconds after one of rest: a monitor that was killed leaves
# gigabytes of pinned memory behind, and freeing them must not fall into the next one's time.
wait_until_idle() {
  local tries before after
  [[ -z ${LAB_BENCH_NO_WAIT:-} ]] || return 0
  sleep 1
  for ((tries = 0; tries < 15; tries++)); do
    read -r _ _ _ _ before _ </proc/stat
    sleep 2
    read -r _ _ _ _ after _ </proc/stat
    ((after - before < 180)) || return 0
  done
}

# measure NAME RUN COMMAND…: what COMMAND prints, lines METRIC=VALUE, becomes $LAB_OUT/NAME.RUN. Run 0 is only printed: it pays
# for cold caches.
measure() {
  local result=$LAB_OUT/$1.$2 name=$1 run=$2
  ((run > 0)) || result=$LAB_OUT/first-$name
  shift 2
  wait_until_idle
  if "$@" >"$result.tmp"; then
    mv "$result.tmp" "$result"
    printf '  run %d  %-12s %s\n' "$run" "$name" "$(grep -E '^(seconds|net_exits|irq_exits)=' "$result" | tr '\n' ' ')"
  else
    rm -f "$result.tmp"
    printf '  run %d  %-12s failed\n' "$run" "$name"
    # shellcheck disable=SC2034 # the caller's exit status
    failed=1
  fi
}

# The machine gives the lab host its memory page by page, when it is first touched: now, instead of in one monitor's time.
touch_memory() {
  local place kilobytes
  place=$(mktemp -d)
  kilobytes=$(awk '/^MemAvailable:/ { print int($2 * 0.95) }' /proc/meminfo)
  mount -t tmpfs -o size=100% tmpfs "$place"
  dd if=/dev/zero of="$place/all" bs=1M count=$((kilobytes / 1024)) status=none
  umount "$place"
  rmdir "$place"
}

# local_copy FILE: its copy in the lab host's memory, for $LAB_OUT is shared uncached, and slow.
local_copy() {
  local copy=${TMPDIR:-/tmp}/bench-${1##*/}
  cp "$1" "$copy"
  printf '%s\n' "$copy"
}

# add_script INITRD FOLDER SCRIPT [FILE…]: an initrd in FOLDER that runs SCRIPT (text) as /run.sh, with the files beside it; prints its
# path. The kernel unpacks archives one after the other.
add_script() {
  local initrd=$1 folder=$2 script=$3 root=$2/root
  shift 3
  rm -rf "$root"
  mkdir -p "$root"
  (($# == 0)) || cp "$@" "$root/"
  printf '%s\n' "$script" >"$root/run.sh"
  { cat "$initrd"; (cd "$root" && find . -type f | cpio -o -H newc --quiet | gzip -1); } >"$folder/initrd"
  printf '%s\n' "$folder/initrd"
}

# choose_qemus: `peers` are those of LAB_BENCH_PEERS that are QEMU with q35: qemu, the one on PATH, and newest, LAB_BENCH_QEMU.
choose_qemus() {
  local peer
  peers=()
  for peer in ${LAB_BENCH_PEERS:-qemu}; do
    if [[ $peer == qemu || ($peer == newest && -x ${LAB_BENCH_QEMU:-}) ]]; then peers+=("$peer"); fi
  done
}
