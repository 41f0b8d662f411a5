#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The unit and its snippets as systemd's own tools read them: systemd-analyze verify, and as root sysusers and tmpfiles in a folder.
. "$(dirname "$0")/checks.sh"
folder=$REPO/packaging/systemd

# verifies UNIT-FILE: nothing to say, for a guest of this name. The program need not be installed.
verifies() {
  mkdir -p "$WORK/units"
  sed 's|^ExecStart=/usr/bin/gpuvm |ExecStart=/bin/true |' "$1" >"$WORK/units/gpuvm@.service"
  SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no "$WORK/units/gpuvm@main.service" >"$WORK/verify" 2>&1 || return 1
  [[ ! -s $WORK/verify ]]
}

expect_not() { expect "$1" not "${@:2}"; }
value_of() { sed -n "s/^$1=//p" "$folder/gpuvm@.service"; }
has_word() { [[ " $1 " == *" $2 "* ]]; }

expect "systemd has nothing to say of the unit" verifies "$folder/gpuvm@.service"
sed 's/^Restart=on-failure/Restart=whenever/' "$folder/gpuvm@.service" >"$WORK/wrong"
expect_not "and would of a wrong one" verifies "$WORK/wrong"
sed 's/^WatchdogSec=/WatchdogSecs=/' "$folder/gpuvm@.service" >"$WORK/wrong"
expect_not "and of a mistyped key" verifies "$WORK/wrong"

expect "a device that is unsafe, and a wrong configuration, are never tried again" \
  has_word "$(value_of RestartPreventExitStatus)" 75
expect "and neither are they successes" test -z "$(value_of SuccessExitStatus | grep -Ew '64|69|70|75|78' || true)"
expect "on_reboot = \"exit\" is a start again" has_word "$(value_of RestartForceExitStatus)" 32
expect "gpuvm's own notifications, and nobody else's" test "$(value_of Type) $(value_of NotifyAccess)" = 'notify main'
expect "locked memory has no limit" test "$(value_of LimitMEMLOCK)" = infinity
# 255 vCPUs and 8 disks of 16 queues, with as much again for each of 8 shares' and 8 disks' programs.
expect "processes and threads have a limit" test -n "$(value_of TasksMax)"
expect "beyond what any guest needs" test "$(value_of TasksMax)" -ge $((255 + 8 * 16 + 16 * 255))
expect "files of disks may have any size" test -z "$(value_of LimitFSIZE)"
expect "no device but those named" test "$(value_of DevicePolicy)" = closed

# Rights that vmm/helper looks for before it lets a program that runs for a guest be another user, and what ends such a one.
capabilities=$(value_of CapabilityBoundingSet | tr '\n' ' ')
for capability in CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_SYS_RESOURCE CAP_KILL; do
  expect "helpers need not be root: $capability is left" has_word "$capabilities" "$capability"
done
for capability in $capabilities; do
  expect "docs/systemd.md has what $capability is for" grep -q "^|.*\`$capability\`" "$REPO/docs/systemd.md"
done

# message_ids: name and id, as the code has them.
message_ids() { sed -n 's/.*string_view \(k[A-Za-z]*Id\) = "\(.*\)";/\1 \2/p' "$REPO/vmm/service/event_journal.hpp"; }
expect "five events have ids" test "$(message_ids | wc -l)" = 5
while read -r name id; do
  expect "docs/systemd.md has the id of $name" grep -q "$id" "$REPO/docs/systemd.md"
done < <(message_ids)

if ((EUID == 0)); then
  mkdir -p "$WORK/root/etc" "$WORK/root/usr/lib/sysusers.d" "$WORK/root/usr/lib/tmpfiles.d"
  cp "$folder/gpuvm.sysusers" "$WORK/root/usr/lib/sysusers.d/gpuvm.conf"
  cp "$folder/gpuvm.tmpfiles" "$WORK/root/usr/lib/tmpfiles.d/gpuvm.conf"
  printf 'root:x:0:\n' >"$WORK/root/etc/group"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$WORK/root/etc/passwd"
  expect "the group is made" systemd-sysusers --root="$WORK/root"
  group=$(sed -n 's/^gpuvm:[^:]*:\([0-9]*\):.*/\1/p' "$WORK/root/etc/group")
  expect "and has a number" test -n "$group"
  expect "and so is the user of helpers" grep -q '^gpuvm-helper:' "$WORK/root/etc/passwd"
  expect "the folders are made" systemd-tmpfiles --root="$WORK/root" --create
  expect "the run folder is root's, and the group may search it" \
    test "$(stat -c '%a %u %g' "$WORK/root/run/gpuvm")" = "750 0 $group"
fi
finish
