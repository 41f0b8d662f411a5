#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/jobs.sh"

CARDS=(0000:04:00.0 0000:06:00.0)
CALLERS=4
HUGE=/sys/kernel/mm/hugepages/hugepages-2048kB
# Of ten jobs; what each comes to: status, channel, outcome.
KINDS=(pass fail pass panic pass silent fail late limit pass)
declare -A EXPECTED=([pass]='0 exit_port passed' [late]='0 exit_port passed' [fail]='3 exit_port failed' [panic]='121 console panicked'
  [silent]='125 power_off no_verdict' [limit]='124 console_timeout timed_out')

kind_of() { echo "${KINDS[$1 % ${#KINDS[@]}]}"; }

# run_job NUMBER: one job; what it leaves goes to $LAB_OUT at once, so that a run that is broken off can be judged.
run_job() {
  local name=job$1 kind status=0 options=()
  kind=$(kind_of "$1")
  [[ $kind != limit ]] || options=(--set test.console_timeout=10s)
  mkdir "$WORK/$name"
  "$GPUVM" test --wait 2h --set "name=$name" --set "boot.cmdline=job=$1 kind=$kind" \
    --artifacts "$WORK/$name" "${options[@]}" "$WORK/job.toml" >/dev/null 2>"$WORK/$name/said" </dev/null || status=$?
  tar -C "$WORK" -cf "$LAB_OUT/jobs/$name.tar" "$name"
  rm -r "${WORK:?}/$name"
  printf '%s %s %s %s\n' "$name" "$kind" "$status" "${EXPECTED[$kind]}" | tee -a "$LAB_OUT/jobs/list"
}

has_driver() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    [[ $(driver_of "$1") != nvme ]] || return 0
    pause 0.1
  done
  return 1
}

# run_jobs CALLER: its share of the jobs, one after the other.
run_jobs() {
  local number
  for ((number = $1; number < LAB_JOBS; number += CALLERS)); do
    run_job "$number"
  done
}

# What nobody may have open any more, and files that nobody may leave behind.
leftovers() {
  host_state
  find /run/gpuvm /dev/vfio /dev/shm -mindepth 1
  find /proc/[0-9]*/fd -lname '*vfio*' -o -lname '*gpuvm*' 2>/dev/null || true
  wc -l </proc/mounts
  cat "$HUGE/free_hugepages"
}

modprobe -a nvme vfio-pci
for card in "${CARDS[@]}"; do
  expect "the lab host's driver has $card" has_driver "$card"
done
# Of huge pages, of which a few are mapped soon.
echo 128 >$HUGE/nr_hugepages
make_small_guest job <<END
[[pci]]
match = "class:0108"
[test]
exit_port = true
END
sed -i 's/^memory = .*/&\nhugepages = "2MiB"/' "$WORK/job.toml"
mkdir -p /run/gpuvm "$LAB_OUT/jobs"
tests/lab/lib/watch_cards.pl /run/gpuvm >"$LAB_OUT/cards.record" 2>"$WORK/watch.log" &
watcher=$!
pause 1
leftovers | grep -v "/proc/$watcher/" >"$WORK/before"
began=$SECONDS
callers=()
for ((caller = 0; caller < CALLERS; caller++)); do
  run_jobs "$caller" &
  callers+=($!)
done
wait "${callers[@]}"
echo "SECONDS $((SECONDS - began))"
pause 1
leftovers | grep -v "/proc/$watcher/" >"$WORK/after"
expect "nothing is left: drivers, files, descriptors, processes, mounts, huge pages" diff "$WORK/before" "$WORK/after"
expect_not "the lab host's kernel has nothing to complain of" grep -aE 'BUG:|WARNING: CPU|Oops|Call Trace' <(dmesg)
kill "$watcher"
expect "no change of a card's files was lost" test ! -s "$WORK/watch.log"
finish
