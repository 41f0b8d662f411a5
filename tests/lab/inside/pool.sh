#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_POOL_INITRD
POOL_LOG=$WORK/pool.log
modprobe -a tun bridge vhost_net || true
ip link add br0 type bridge
ip link set br0 up

# An initrd that is told gpuvm.warm does what the agent does in a whole system (docs/pool.md): it says READY, hears what is new for it,
# and runs the command.
make_guest pool '
until_true 20 grep -qx org.gpuvm.status /sys/class/virtio-ports/*/name
name=$(grep -lx org.gpuvm.status /sys/class/virtio-ports/*/name)
name=${name%/name}
port=/dev/${name##*/}
exec 3<>$port
[ -e /no-agent ] && poweroff -f
echo READY >&3
while read -r line <&3; do
  value=${line#*=}
  case $line in
    seed=*) echo "$value" | base64 -d >/dev/urandom; echo "SEED $value" ;;
    machine-id=*) echo "MACHINE $value" ;;
    cards=*) echo "CARDS $value" ;;
    run=*) break ;;
  esac
done
exec 3>&-
[ -n "$value" ] || { until_true 20 test -c /dev/input/event0; echo WAITS; head -c 24 /dev/input/event0 >/dev/null; echo PRESSED; exit; }
echo "$value" | base64 -d >/tmp/job.sh
sh /tmp/job.sh
echo $? >$port
' <<END
[machine]
memory = "256MiB"
[[net]]
mode = "tap"
bridge = "br0"
[test]
timeout = "3min"
END

# within SECONDS COMMAND…: until it succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    pause 0.2
  done
}
ended() { ! is_running "$1"; }
pool_logged() { (($(grep -c -- "$1" "$POOL_LOG") >= ${2:-1})); }
# start_pool SIZE [OPTION…]: in the background; process in $pool.
start_pool() {
  local size=$1
  shift
  : >"$POOL_LOG"
  "$GPUVM" pool -v --size "$size" "$WORK/pool.toml" "$@" <&"$nothing" >/dev/null 2>"$POOL_LOG" 7>&- &
  pool=$!
}
# job NAME COMMAND [OPTION…]: exit status in $status; log in $WORK/NAME.log, artifacts in $WORK/NAME.out.
job() {
  local name=$1 command=$2
  shift 2
  status=0
  "$GPUVM" test --warm pool --artifacts "$WORK/$name.out" "$@" "$WORK/pool.toml" -- "$command" >"$WORK/$name.console" 2>"$WORK/$name.log" \
    </dev/null || status=$?
  tail -n 1 "$WORK/$name.log"
}
# Names of the guests that jobs have had.
taken() { sed -n 's/.*The warm guest \([^ ]*\) is this job.s.*/\1/p' "$WORK"/*.log; }
# said NAME TEXT: on the console of a job. Its lines end in CR.
said() { grep -aq -- "$2" "$WORK/$1.out/console.log"; }
answer() { tr -d '\r' <"$WORK/$1.out/console.log" | sed -n "s/.*$2 //p" | head -n 1; }
guests() { "$GPUVM" ps 2>/dev/null | awk 'NR > 1 && /^pool-/ { print $1, $2, $3 }'; }
paused() { guests | grep -c ' paused ' || true; }
waiting() { [[ $(paused) == "$1" ]]; }
# Nothing of a pool or of its guests is there.
nothing_left() {
  local process left=''
  for process in $(pgrep -x gpuvm); do
    ! is_running "$process" || left+=" $process" # one that has ended and lost its parent is a zombie here
  done
  [[ -z $left ]] && [[ -z $(find /run/gpuvm \( -name 'pool*' -o -name 'guest-pool*' \) ! -name '*.lock' 2>/dev/null) ]]
}

start_pool 2
expect "the pool fills" within 240 pool_logged 'The pool pool is full'
expect "two guests wait, paused" waiting 2

began=$EPOCHREALTIME
job first 'echo "HELLO $(cat /sys/class/net/eth0/address)"; exit 42'
printf 'a warm job took %s s\n' "$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')"
expect "the command's status is the job's" test "$status" = 42
expect "its console is the job's" said first HELLO
expect_not "what the guest printed before is not" said first GUEST-MODULES-LOADED
expect "its end is among the events" grep -q '"event":"state".*"to":"stopped"' "$WORK/first.out/events.jsonl"
expect "its word is, too" grep -q '"channel":"status_port","word":"exit","status":42' "$WORK/first.out/events.jsonl"
expect "the verdict is the status port's" grep -q '"status_port"' "$WORK/first.out/result.json"
expect "the pool fills up again" within 240 waiting 2

# Two at once, from guests that waited side by side.
began=$(date +%s)
# shellcheck disable=SC2016 # the guest expands it
ASK='echo "RANDOM $(head -c 32 /dev/urandom | base64)"; echo "MAC $(cat /sys/class/net/eth0/address)"; echo "TIME $(date +%s)"; \
  [ ! -e /sys/bus/acpi/devices/GPUV0001:00 ] || echo GENERATION; ls -d /sys/bus/*/drivers/vmgenid; dmesg | grep "virtual machine fork"'
jobs=()
for one in one two; do
  job $one "$ASK" &
  jobs+=($!)
done
wait "${jobs[@]}"
expect "both jobs ran" test -n "$(answer one RANDOM)" -a -n "$(answer two RANDOM)"
for what in RANDOM MAC SEED MACHINE; do
  printf '%s: %s and %s\n' "$what" "$(answer one $what)" "$(answer two $what)"
  expect "$what: one has it" test -n "$(answer one $what)"
  expect_not "two guests do not share it: $what" test "$(answer one $what)" = "$(answer two $what)"
done
expect "a warm guest has a generation id" said one GENERATION
if said one drivers/vmgenid; then
  expect "its kernel heard of the new one" said one 'virtual machine fork'
else
  echo 'this kernel has no driver of generation ids'
fi
for one in one two; do
  late=$(($(answer $one TIME) - began))
  expect "the clock of $one is right: $late s behind the start" test "$late" -ge 0 -a "$late" -le 60
done
expect "no guest was given twice" test "$(taken | sort | uniq -d | wc -l)" = 0
expect "three guests were given" test "$(taken | wc -l)" = 3

# Who wants something else.
expect "full again" within 240 waiting 2
job other true --set machine.memory=512MiB
expect "another machine is refused" test "$status" = 122
expect "the reason" grep -q 'has other guests' "$WORK/other.log"
status=0
"$GPUVM" run --warm nobody "$WORK/pool.toml" 2>"$WORK/nobody.log" </dev/null || status=$?
expect "there is no such pool: status 69" test "$status" = 69
expect "it says so" grep -q 'There is no pool nobody' "$WORK/nobody.log"
expect "nothing was taken for them" test "$(paused)" = 2

# A guest that dies as it waits.
victim=$(guests | awk 'NR == 1 { print $3 }')
kill -9 "$victim"
expect "it is noticed" within 20 pool_logged 'ended while it waited'
expect "and replaced" within 240 waiting 2

# A job that dies takes its guest along, and nobody else.
"$GPUVM" test --warm pool "$WORK/pool.toml" -- 'echo BEGUN; sleep 600' >"$WORK/killed.console" 2>"$WORK/killed.log" </dev/null &
job=$!
expect "a job begins" within 60 grep -aq BEGUN "$WORK/killed.console"
name=$(sed -n 's/.*The warm guest \([^ ]*\) is.*/\1/p' "$WORK/killed.log")
kill -9 "$job"
wait "$job" 2>/dev/null || true
expect "its guest goes with it" within 60 not test -e "/run/gpuvm/$name.sock"
expect "the pool is as it was" within 240 waiting 2

# gpuvm run, and the power button by a signal.
"$GPUVM" run --warm pool "$WORK/pool.toml" >"$WORK/run.console" 2>"$WORK/run.log" </dev/null &
run=$!
expect "a guest without a command goes on" within 60 grep -aq WAITS "$WORK/run.console"
kill "$run"
status=0
wait "$run" || status=$?
expect "a signal presses its power button" grep -aq PRESSED "$WORK/run.console"
expect "and the run ends well" test "$status" = 0

# kill -9 of the pool: guests that wait are gone, one that is somebody's goes on.
expect "full before the kill" within 240 waiting 2
"$GPUVM" test --warm pool "$WORK/pool.toml" -- 'echo BEGUN; sleep 8; exit 5' >"$WORK/last.console" 2>"$WORK/last.log" </dev/null &
job=$!
expect "the last job begins" within 60 grep -aq BEGUN "$WORK/last.console"
kill -9 "$pool"
wait "$pool" 2>/dev/null || true
expect "its guests that wait end" within 30 waiting 0
status=0
wait "$job" || status=$?
expect "the job in the taken one goes on to its end" test "$status" = 5
expect "nothing is left" within 30 nothing_left
ls -la /run/gpuvm || true
pgrep -a gpuvm || true

# The end that it is asked for.
start_pool 1
expect "a pool of one" within 240 waiting 1
kill "$pool"
status=0
wait "$pool" || status=$?
expect "it ends at a signal" test "$status" = 0
expect "and takes its guest along" nothing_left

# Guests that never come up: not in a loop.
mkdir -p "$WORK/initrd-pool"
touch "$WORK/initrd-pool/no-agent"
{ cat "$WORK/pool.initrd"; (cd "$WORK/initrd-pool" && find . -type f -name no-agent | cpio -o -H newc --quiet | gzip -1); } >"$WORK/dead.initrd"
start_pool 4 --set "boot.initrd=$WORK/dead.initrd"
expect "guests that end before they are ready are noticed" within 240 pool_logged 'before it was ready' 3
starts=$(grep -c ' boots (pid' "$POOL_LOG")
expect "after the first ones at most one at a time: $starts" test "$starts" -le 8
kill "$pool"
wait "$pool" || true
expect "nothing of them is left" within 30 nothing_left
finish
