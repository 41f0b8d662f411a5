#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

modprobe vhost_vsock
# What is started: systemd 257 alone, or with LAB_NODE the image of scripts/make-image, whose systemd is 252.
if [[ -n ${LAB_NODE:-} ]]; then
  tar -C "$WORK" -xSf "$LAB_NODE/node.tar"
  kernel=node/vmlinuz initrd=node/initrd.img cmdline=$LAB_NODE_CMDLINE
else
  kernel=$LAB_GUEST_KERNEL initrd=$LAB_SYSTEMD_INITRD cmdline='console=ttyS0 quiet systemd.default_timeout_start_sec=900 rdinit=/init'
fi
cat >"$WORK/system.toml" <<END
name = "system"
[machine]
memory = "1GiB"
[boot]
kernel = "$kernel"
initrd = "$initrd"
cmdline = "$cmdline panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
[cpu]
hide = ["xsave"]
[vsock]
[test]
notify = true
timeout = "20min"
END
[[ -z ${LAB_NODE:-} ]] || printf '[[disk]]\npath = "node.img"\n' >>"$WORK/system.toml"

# start_job NAME COMMAND: gpuvm test in the background, as start_guest; its artifacts are in $WORK/NAME.out.
start_job() {
  CONSOLE=$WORK/$1.console
  LOG=$WORK/$1.log
  : >"$CONSOLE"
  "$GPUVM" test --artifacts "$WORK/$1.out" "$WORK/system.toml" -- "$2" >"$CONSOLE" 2>"$LOG" </dev/null &
  guest=$!
}
words() {
  sed -n 's/.*"event":"word","channel":"\([a-z_]*\)","word":"\([a-z]*\)"\(,"status":\)\{0,1\}\([0-9]*\).*/\1 \2 \4/p' \
    "$WORK/$1.out/events.jsonl"
}
says() { words "$1" | grep -qx "${*:2}"; }

# shellcheck disable=SC2016 # the guest expands it
start_job status 'echo "COMMAND $HOME $(cut -d" " -f1 /proc/uptime)"; exit 42'
wait_guest 400
tail -n 2 "$LOG"
words status
expect "the command's status is the job's" test "$guest_status" = 42
expect "it came by the status port" says status status_port exit 42
expect "the command ran as root, with its output on the console" guest_said '^COMMAND /root'
if [[ -n ${LAB_NODE:-} ]]; then # which says nothing by itself
  finish
  exit
fi
expect "notify: ready" says status notify ready ''
expect_not "notify: no status 0 of a power off" grep -q '^notify exit' <(words status)

start_job leave 'systemctl exit 5; sleep 600'
wait_guest 400
tail -n 2 "$LOG"
words leave
expect "notify: the status of systemctl exit is the job's" test "$guest_status" = 5
expect "as systemd said it" says leave notify exit 5
finish
