#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian 12 image of scripts/make-image in a pool of two, with its own agent.
. "$(dirname "$0")/../lib/inside.sh"

DEVICE=0000:04:00.0
POOL_LOG=$WORK/pool.log
modprobe -a tun bridge vhost_net || true
ip link add br0 type bridge
ip link set br0 up
tar -C "$WORK" -xSf "$LAB_NODE/node.tar"
cat >"$WORK/pool.toml" <<END
name = "pool"
[machine]
memory = "1GiB"
[boot]
kernel = "node/vmlinuz"
initrd = "node/initrd.img"
cmdline = "$LAB_NODE_CMDLINE panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
[cpu]
hide = ["xsave"]
[[disk]]
path = "node.img"
throwaway = true
[[net]]
mode = "tap"
bridge = "br0"
[test]
timeout = "20min"
END

within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    pause 0.5
  done
}
is_full() { (($(grep -c 'The pool pool is full' "$POOL_LOG") >= $1)); }
answer() { tr -d '\r' <"$WORK/$1.out/console.log" | sed -n "s/.*$2 //p" | head -n 1; }
# job NAME COMMAND [OPTION…]: exit status in $status, seconds in $took.
job() {
  local name=$1 command=$2 began=$EPOCHREALTIME
  shift 2
  status=0
  "$GPUVM" test --artifacts "$WORK/$name.out" "$@" "$WORK/pool.toml" -- "$command" >"$WORK/$name.console" 2>"$WORK/$name.log" </dev/null ||
    status=$?
  took=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
  tail -n 1 "$WORK/$name.log"
}

# shellcheck disable=SC2016 # the guest expands it
ASK='echo "RANDOM $(head -c 32 /dev/urandom | base64)"; echo "MAC $(cat /sys/class/net/e*/address)"; echo "MACHINE $(cat /etc/machine-id)"
echo "HOSTKEY $(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"; echo "BOOT $(cat /proc/sys/kernel/random/boot_id)"; echo "TIME $(date +%s)"
ls -d /sys/bus/*/drivers/vmgenid; dmesg | grep "virtual machine fork"; exit 7'
job cold "$ASK"
cold=$took
expect "a cold job" test "$status" = 7
: >"$POOL_LOG"
"$GPUVM" pool -v --size 2 "$WORK/pool.toml" <&"$nothing" >/dev/null 2>"$POOL_LOG" 7>&- &
pool=$!
expect "the pool fills" within 900 is_full 1
tail -n 3 "$POOL_LOG"
# They have waited for a while: their clocks are to be right all the same.
pause 5
asked=$(date +%s)
for one in one two; do
  job $one "$ASK" --warm pool
  expect "$one: the command's status is the job's" test "$status" = 7
  printf '%s took %s s\n' "$one" "$took"
done
for what in RANDOM MAC MACHINE HOSTKEY BOOT; do
  printf '%s: %s\n' "$what" "$(answer one $what) | $(answer two $what) | cold: $(answer cold $what)"
  expect "$what: there is one" test -n "$(answer one $what)" -a -n "$(answer two $what)"
  expect_not "two guests do not share it: $what" test "$(answer one $what)" = "$(answer two $what)"
  expect_not "nor with a cold one: $what" test "$(answer one $what)" = "$(answer cold $what)"
done
if grep -aq drivers/vmgenid "$WORK/one.out/console.log"; then
  expect "the kernel heard of its new generation" grep -aq 'virtual machine fork' "$WORK/one.out/console.log"
else
  echo 'this kernel has no driver of generation ids'
fi
late=$(($(answer one TIME) - asked))
expect "the clock is right: $late s" test "$late" -ge -1 -a "$late" -le 120
printf 'cold %s s, warm %s s\n' "$cold" "$took"
# A ratio is for scripts/bench warm, with nothing beside it.
expect "a warm job is sooner than a cold one" awk -v cold="$cold" -v warm="$took" 'BEGIN { exit !(warm < cold) }'

# With a card that is plugged in. The section is the job's: the pool's guests are the same without it.
kill "$pool"
wait "$pool" || true
sed -i 's/^memory = .*/&\nfree_ports = 1/' "$WORK/pool.toml"
printf '[sandbox]\nmode = "off"\n' >>"$WORK/pool.toml" # which a card that comes later needs
: >"$POOL_LOG"
"$GPUVM" pool -v --size 1 "$WORK/pool.toml" <&"$nothing" >/dev/null 2>"$POOL_LOG" 7>&- &
pool=$!
expect "a pool with a free port fills" within 900 is_full 1
# shellcheck disable=SC2016 # the guest expands it
job card 'for d in /sys/bus/pci/devices/*; do echo "DRIVER $(cat $d/class) $(basename "$(readlink $d/driver)")"; done; exit 9' \
  --warm pool --set "pci.0.host=$DEVICE"
expect "a job with a card" test "$status" = 9
expect "the card has its driver" grep -aq 'DRIVER 0x010802 nvme' "$WORK/card.out/console.log"
expect "the card is verified afterwards" grep -q '"event":"reset".*"verdict":"verified"' "$WORK/card.out/events.jsonl"
printf 'with a card it took %s s\n' "$took"
kill "$pool"
status=0
wait "$pool" || status=$?
expect "the pool ends" test "$status" = 0
expect "nothing is left" test -z "$(pgrep -x gpuvm)"
finish
