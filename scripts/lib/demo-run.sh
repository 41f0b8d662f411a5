#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo's guest from start to end, on a VFIO host: the lab's (scripts/lab) or this machine. Streams the guest's console, and
# leaves in OUT: result (lines NAME=VALUE), devices (a line per function: address, driver, name), screen.png, gpuvm.log.
# Usage: demo-run.sh GPUVM KERNEL INITRD OUT BDF…
set -euo pipefail

. "$(dirname "$0")/is-running.sh"
. "$(dirname "$0")/read-line.sh"

KVM_STATS=/sys/kernel/debug/kvm
gpuvm=$1 kernel=$2 initrd=$3 out=$4
shift 4
work=$(mktemp -d)
guest=''
trap stop_guest EXIT

stop_guest() {
  if [[ -n $guest ]] && is_running "$guest"; then
    kill -TERM "$guest" 2>/dev/null || true
    wait "$guest" || true
  fi
  rm -rf "$work"
}

die() {
  printf 'demo: %s\n' "$1" >&2
  [[ ! -s $out/gpuvm.log ]] || tail -n 15 "$out/gpuvm.log" >&2
  exit 1
}

write_config() {
  local bdf hidden=''
  # The lab host's emulated CPU reports an inconsistent XSAVE leaf.
  [[ -z ${LAB:-} ]] || hidden='"xsave"'
  {
    printf 'name = "demo"\n[machine]\ncpus = 1\nmemory = "1GiB"\n'
    printf '[boot]\nkernel = "%s"\ninitrd = "%s"\ncmdline = "console=ttyS0 quiet panic=-1"\n' "$kernel" "$initrd"
    printf '[cpu]\nhide = [%s]\n' "$hidden"
    for bdf in "$@"; do
      printf '[[pci]]\nhost = "%s"\n' "$bdf"
    done
  } >"$out/demo.toml"
}

# kvm_count NAME: of all VMs of the host; 0 where debugfs is not mounted.
kvm_count() { cat "$KVM_STATS/$1" 2>/dev/null || echo 0; }

# follow TEXT SECONDS: shows the console's lines until one holds TEXT. Lines for machines are kept from the screen.
follow() {
  local line end=$((SECONDS + $2))
  while ((SECONDS < end)); do
    if ! read_line "$console" 2; then
      is_running "$guest" || return 1
      continue
    fi
    [[ $line != *"$1"* ]] || reached=$EPOCHREALTIME
    line=${line%$'\r'}
    printf '%s\n' "$line" >>"$out/console.log"
    [[ $line == *GUEST-* || $line == *DEMO-* ]] || printf '  %s\n' "$line"
    [[ $line != *"$1"* ]] || return 0
  done
  return 1
}

start_guest() {
  mkfifo "$work/in" "$work/out"
  exec {input}<>"$work/in" {console}<>"$work/out"
  started=$EPOCHREALTIME
  exits=$(kvm_count exits) irqs=$(kvm_count irq_exits)
  "$gpuvm" run "$out/demo.toml" --inspect-file "$out/inspect.json" <"$work/in" >"$work/out" 2>"$out/gpuvm.log" &
  guest=$!
}

seconds_since() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b - a }'; }

# The picture as the guest's own frame buffer holds it, for a host without a camera on the monitor.
frame_from_guest() {
  printf 'frame\n' >&"$input"
  local line
  until [[ ${line:=} == DEMO-FRAME\ * ]]; do
    IFS= read -r -t 60 line <&"$console" || die "the guest did not send its frame buffer"
    line=${line%$'\r'}
  done
  read -r _ width height stride <<<"$line"
  while IFS= read -r -t 60 line <&"$console" && line=${line%$'\r'} && [[ $line != DEMO-FRAME-END ]]; do
    printf '%s\n' "$line"
  done | base64 -d | gunzip >"$work/frame"
  "$(dirname "$0")/frame-to-png.sh" "$work/frame" "$width" "$height" "$stride" "$out/screen.png"
}

take_picture() {
  if [[ -n ${LAB:-} && -z ${LAB_DEMO_FRAME:-} ]]; then
    lab-screenshot screen.png
    printf 'done\n' >&"$input"
  elif grep -q '^No /dev/fb0' "$out/console.log"; then
    printf 'done\n' >&"$input"
  else
    frame_from_guest
  fi
}

# From the guest's `lspci -k`, what lies behind the root port.
write_devices() {
  tr -d '\r' <"$out/console.log" | awk '
    function flush() { if (address != "") printf "%s\t%s\t%s\n", address, driver == "" ? "none" : driver, name }
    /^[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]\.[0-7] / {
      flush(); address = ""
      if ($1 !~ /^00:/) { address = $1; driver = ""; name = $0; sub(/^[^ ]+ /, "", name) }
    }
    /Kernel driver in use:/ { driver = $NF }
    END { flush() }' >"$out/devices"
}

wait_for_end() {
  local status=0 line
  printf '\n' >&"$input" || true
  while is_running "$guest"; do
    IFS= read -r -t 0.2 line <&"$console" || true
  done
  wait "$guest" || status=$?
  guest=''
  printf 'status=%d\n' "$status" >>"$out/result"
}

mkdir -p "$out"
: >"$out/console.log"
write_config "$@"
start_guest
follow GUEST-INIT-REACHED 300 || die "the guest did not reach its init"
printf 'seconds=%s\nexits=%d\nirq_exits=%d\n' "$(seconds_since "$started" "$reached")" \
  $(($(kvm_count exits) - exits)) $(($(kvm_count irq_exits) - irqs)) >"$out/result"
printf '  (the guest is at its init after %s s; it loads its drivers and draws)\n' "$(seconds_since "$started" "$reached")"
follow DEMO-SCREEN-READY 120 || die "the guest did not draw its screen"
take_picture
write_devices
wait_for_end
