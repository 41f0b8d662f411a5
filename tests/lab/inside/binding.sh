#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

FUNCTIONS=(0000:01:00.0 0000:01:00.1 0000:02:00.0)

drivers() {
  local bdf
  for bdf in "${FUNCTIONS[@]}"; do driver_of "$bdf"; done | xargs
}

# Starts the guest and kills gpuvm in the middle of its boot.
start_and_kill() {
  start_guest main
  wait_console GUEST-INIT-REACHED 300
  kill_gpuvm "$guest"
  wait_guest 10
  expect "kill -9 leaves the functions with vfio-pci" test "$(drivers)" = "vfio-pci vfio-pci vfio-pci"
  expect "and their records" test -s /run/gpuvm/0000:01:00.0.binding
}

load_host_drivers
before=$(host_state)
echo "the host's drivers: $(drivers)"
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest main 'echo WAITING; read -r word' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END

start_guest main
wait_console WAITING 300
expect "while the guest runs the functions are with vfio-pci" test "$(drivers)" = "vfio-pci vfio-pci vfio-pci"
type_line on
wait_guest 180
expect "power off: status 0" test "$guest_status" = 0
expect "power off: everything is as before" state_is "$before"

# A wrong kernel is found before anything happens to a device.
run_guest main --set boot.kernel=/etc/passwd --verbose
expect "a kernel that is none: status 78" test "$guest_status" = 78
expect_not "a kernel that is none: no device was touched" grep -E '0000:0[12]:00|functions are open' "$LOG"
expect "a kernel that is none: everything is as before" state_is "$before"

# A dry run says what the run would say, and nothing is touched.
expect "a dry run is well" "$GPUVM" run --dry-run "$WORK/main.toml"
"$GPUVM" run --dry-run "$WORK/main.toml" >"$WORK/dry-run" || true
expect "a dry run shows its checks" \
  eval 'sed -n "/^#     group$/,/^#     [^ ]/p" "$WORK/dry-run" | grep -q "^#       0000:01:00.1: ok"'
expect_not "a dry run of a wrong kernel is not" "$GPUVM" run --dry-run --set boot.kernel=/etc/passwd "$WORK/main.toml"
expect "after dry runs everything is as before" state_is "$before"

# While devices are reset nobody listens to signals; right after it they end the run, and the guest never starts.
start_guest main --events "$WORK/main.events" --set pci.0.reset_wait=10000
until grep -q 'vfio-pci vfio-pci vfio-pci' <<<"$(drivers)" || ! is_running "$guest"; do sleep 0.05; done
kill -TERM "$guest"
wait_guest 60
expect "SIGTERM during the start: status 143" test "$guest_status" = 143
expect_not "SIGTERM during the start: the guest never ran" grep -q '"to":"running"' "$WORK/main.events"
expect "SIGTERM during the start: everything is as before" state_is "$before"

# The terminal goes away: two signals, of the shell and of the kernel, are one wish.
start_guest main
wait_console WAITING 300
kill -HUP "$guest"
wait_log 'Power button pressed' 60
kill -HUP "$guest"
type_line on
wait_guest 180
expect "SIGHUP: the guest may power off itself" test "$guest_status" = 0
expect "SIGHUP: everything is as before" state_is "$before"

# The guest has nothing that listens to its power button, so the first signal changes nothing.
start_guest main
wait_console WAITING 300
kill -TERM "$guest"
wait_log 'Power button pressed' 60
expect "SIGTERM: the guest may power off itself" is_running "$guest"
pause 0.6 # within half a second it would be the same request
kill -TERM "$guest"
wait_guest 180
expect "second SIGTERM: status 143" test "$guest_status" = 143
expect "second SIGTERM: everything is as before" state_is "$before"

start_and_kill
expect "gpuvm unbind works" "$GPUVM" unbind "${FUNCTIONS[@]}"
expect "kill -9 and unbind: everything is as before" state_is "$before"

start_and_kill
expect "gpuvm unbind without addresses works" "$GPUVM" unbind
expect "kill -9 and unbind of all: everything is as before" state_is "$before"

start_and_kill
start_guest main
wait_console WAITING 300
type_line on
wait_guest 180
expect "a run after kill -9: status 0" test "$guest_status" = 0
expect "a run after kill -9: everything is as before both" state_is "$before"

lab-bind 0000:02:00.0
before=$(host_state)
make_guest unmanaged true <<'END'
[[pci]]
host = "0000:02:00.0"
managed = false
END
run_guest unmanaged
expect "managed = false: status 0" test "$guest_status" = 0
expect "managed = false: the function stays with vfio-pci" test "$(driver_of 0000:02:00.0)" = vfio-pci
expect "managed = false: everything is as before" state_is "$before"
finish
