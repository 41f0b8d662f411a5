# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # card_words
# What the lab tests of cards that come while the guest runs share. Sourced inside the lab host after inside.sh; the guest answers
# numbered lines of its console.

# COMMAND…: its exit status in $status, what it says in $WORK/said.
try() {
  status=0
  "$@" >"$WORK/said" 2>&1 || status=$?
  cat "$WORK/said"
}
said() { grep -q -- "$1" "$WORK/said"; }
# Of a process: what must not grow.
descriptors() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
threads() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l; }

# ask LINE: types a line to the guest, and waits for its numbered answer.
declare -i asked=0
ask() {
  asked+=1
  type_line "$asked $1"
  wait_console "^ANSWER $asked " 120
  grep -a "^ANSWER $asked " "$CONSOLE" | tr -d '\r' | cut -d ' ' -f 3- >"$WORK/answer"
}
# answers LINE ANSWER
answers() {
  ask "$1"
  grep -qx -- "$2" "$WORK/answer" || { cat "$WORK/answer"; false; }
}

# For the begin of a guest's script.
card_words='
# What udev does in larger guests.
load() { modprobe -abq $(cat /sys/bus/*/devices/*/modalias 2>/dev/null | sort -u) 2>/dev/null; }
is_bound() {
  function=$(find_function "$1") && [ -n "$function" ] || return 1
  load
  [ "$(basename "$(readlink "$function/driver")")" = "$2" ]
}
is_gone() { [ -z "$(find_function "$1")" ]; }
# Bytes through the NVMe disk, in and out again.
disk_works() {
  until_true 20 test -b /dev/nvme0n1 || return 1
  dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
  dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct 2>/dev/null && sync
  dd if=/dev/nvme0n1 bs=1M count=4 iflag=direct 2>/dev/null | cmp - /tmp/data
}
'
