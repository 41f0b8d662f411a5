#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GPU=0000:01:00.0 AUDIO=0000:01:00.1 USB=0000:02:00.0 NVME=0000:04:00.0 GPU2=0000:07:00.0

# COMMAND…: its exit status in $status, what it says in $WORK/said.
try() {
  status=0
  "$@" >"$WORK/said" 2>&1 || status=$?
  cat "$WORK/said"
}
said() { grep -q -- "$1" "$WORK/said"; }
logged() { grep -q -- "$1" "$LOG"; }
drivers() { for bdf in $GPU $AUDIO $USB; do driver_of "$bdf"; done | xargs; }
state_of() { sed -n 's/^dirty=//p' "/run/gpuvm/$1.state"; }
# Of a function's configuration space, as bytes: command_of BDF prints the low byte of COMMAND.
command_of() { od -An -tx1 -j4 -N1 "/sys/bus/pci/devices/$1/config" | tr -d ' '; }

# is_dark PICTURE.ppm: every pixel is black.
is_dark() {
  perl -e 'local $/; $_ = <STDIN>; s/^P6\s\d+\s\d+\s255\s// or die "no picture\n"; exit !/^\0+$/' <"$1"
}

load_host_drivers
before=$(host_state)
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest main 'echo WAITING; read -r word' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END
cp "$WORK/main.toml" "$WORK/other.toml"

try "$GPUVM" inspect "$WORK/main.toml"
expect "inspect: status 0, and nothing is changed" state_is "$before"
expect "it shows what the hot reset covers, and whose that is" said "hot_reset_owners: $GPU (the guest's), $AUDIO (the guest's)"
expect "the policy and its source" said "source: PCI Express Base 6.0, 6.6.1"
expect "the bus behind the guest's port, which another slot shares" said "at_guest_bus_reset"

# One owner.
start_guest main --events "$WORK/events.log"
wait_console WAITING 300
first=$guest
expect "while a guest has them its functions are marked" test "$(state_of $AUDIO)" = "the guest main had it when gpuvm ended"
for verb in "run -q --set name=another $WORK/other.toml" "reset $USB" "test-reset $GPU"; do
  # shellcheck disable=SC2086 # words
  try "$GPUVM" $verb
  expect "gpuvm ${verb%% *} of a guest's device: status 69" test "$status" = 69
  expect "one line" test "$(grep -c . "$WORK/said")" = 1
  expect "it names the guest and its process" said "belongs to the guest main (gpuvm, pid $first)"
done
try "$GPUVM" unbind
expect "unbind leaves a living guest's devices alone" test "$status,$(drivers)" = "0,vfio-pci vfio-pci vfio-pci"

# A guest that is killed leaves a mark, and the next one's start repairs.
kill_gpuvm "$guest"
wait_guest 10
expect "the mark outlives kill -9" test "$(state_of $GPU)" = "the guest main had it when gpuvm ended"
start_guest main --events "$WORK/events.log"
wait_console WAITING 300
expect "the next start says that it repairs" logged "$GPU was left dirty (the guest main had it when gpuvm ended): it is repaired"
expect "and resets and checks" logged "Reset at start: $GPU, $AUDIO: hot reset, verified"
type_line on
wait_guest 180
expect "power off: status 0" test "$guest_status" = 0
expect "everything is as before" state_is "$before"

event() { grep -q -- "$1" "$WORK/events.log"; }
expect "events: each reset with method, verdict and duration" \
  event '"event":"reset","reason":"stop","functions":"0000:01:00.0, 0000:01:00.1","method":"hot reset","verdict":"verified","duration_ms":[0-9]'
expect "events: the states" event '"event":"state","from":"stopping","to":"stopped"'

# gpuvm reset after kill -9.
start_guest main
wait_console WAITING 300
kill_gpuvm "$guest"
wait_guest 10
try "$GPUVM" reset $GPU $USB
expect "gpuvm reset: status 0" test "$status" = 0
expect "it prints the certificate" said "$GPU, $AUDIO: hot reset of $GPU, $AUDIO in [0-9]* ms, verified"
expect "everything is as before" state_is "$before"

# A device that does not look as it did: the record claims that its link was wider.
start_guest main
wait_console WAITING 300
kill_gpuvm "$guest"
wait_guest 10
perl -pi -e 's/^(looks=(?:\S+ ){10})\S+/${1}10/' "/run/gpuvm/$USB.state"
cat "/run/gpuvm/$USB.state"
try "$GPUVM" unbind
expect "unbind repairs, and one that does not pass gives status 75" test "$status" = 75
expect "it says why" said "$USB: link width is x1, but was x16"
expect "what passed is given back, what did not stays" test "$(drivers)" = "bochs-drm snd_hda_intel vfio-pci"
expect "it stays marked, with the reason" grep -q '^dirty=.*link width' "/run/gpuvm/$USB.state"
run_guest other --events "$WORK/refused.events"
expect "a guest does not get it: status 75" test "$guest_status" = 75
expect "the refusal is said once" test "$(grep -c 'error: .*did not come back' "$LOG")" = 1
refused() { grep -c "\"event\":\"reset\".*$1" "$WORK/refused.events"; }
expect "each set of functions was reset, and once more behind a rescan" test "$(refused '"method":"[a-z]* \(reset\|retraining\)"')" = 4
expect "the link was trained again each time" test "$(refused "\"functions\":\"$USB\".*; link retraining: ")" = 2
expect "the rescan has its own verdict" test "$(refused '"method":"removal and rescan","verdict":"failed"')" = 1
expect "a slot that an emulator would unplug keeps its power" logged 'No slot power cycle: the port .* is an emulated one'
expect "no guest code ran" test ! -s "$CONSOLE"
expect "the GPU went back, the USB controller did not" test "$(drivers)" = "bochs-drm snd_hda_intel vfio-pci"
expect "and the log says so" logged "$USB is dirty and stays with vfio-pci"
try "$GPUVM" unbind --force $USB
expect "unbind --force gives it back all the same" test "$status" = 0
expect "everything is as before" state_is "$before"

# Out of the kernel and found again, asked for: the drivers come back, and a hot reset that was verified lies between.
try "$GPUVM" reset -v --first rescan $GPU $USB
expect "reset --first rescan: status 0" test "$status" = 0
expect "the removal and rescan has a verdict" said "removal and rescan of $GPU, $AUDIO, $USB and a reset in [0-9]* ms, verified"
expect "each function is with its driver" said "$AUDIO is with snd_hda_intel"
expect "everything is as before" state_is "$before"
try "$GPUVM" reset --first slot-power $USB
expect "reset --first slot-power of an emulated slot: status 69" test "$status" = 69
expect "it says why" said 'unplugs a device whose power goes off'
expect "everything is as before" state_is "$before"

# What a stop leaves: the host's drivers are away, so that nobody touches the devices afterwards.
for bdf in $GPU $AUDIO $USB; do echo "$bdf" >"/sys/bus/pci/devices/$bdf/driver/unbind"; done
before=$(host_state)
make_tile screen
unset GUEST_INITRD
make_guest screen 'show_pattern; echo NVME $(cat /sys/block/nvme0n1/size); read -r word' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
port = 1
[[pci]]
host = "0000:04:00.0"
port = 2
reset = "function"
END
start_guest screen
check_pattern screen
wait_console '^NVME [1-9]' 60
for bdf in $GPU $NVME; do
  expect "$bdf decodes while the guest runs" test $((0x$(command_of "$bdf") & 2)) = 2
done
type_line on
wait_guest 180
expect "power off: status 0" test "$guest_status" = 0
for bdf in $GPU $AUDIO $USB $NVME; do
  expect "$bdf: no bus mastering and no decode afterwards" test $((0x$(command_of "$bdf") & 7)) = 0
done
expect "reset = \"function\" is what was done" logged "Reset at stop: $NVME: function reset, verified"
lab-screenshot after.ppm
expect "the screen is dark" is_dark "$LAB_OUT/after.ppm"
expect "everything is as before" state_is "$before"

# With vfio-pci for good, the kernel puts an idle function to sleep.
lab-bind $NVME
make_guest asleep true <<'END'
[[pci]]
host = "0000:04:00.0"
managed = false
END
run_guest asleep
expect "managed = false: status 0" test "$guest_status" = 0
# The kernel puts it to sleep some time after its last user has closed it.
sleeps() {
  local end=$((SECONDS + 30))
  until grep -qx D3hot "/sys/bus/pci/devices/$1/power_state"; do
    ((SECONDS < end)) || { cat "/sys/bus/pci/devices/$1/power_state"; return 1; }
    sleep 0.1
  done
}
expect "an idle function that vfio-pci keeps sleeps" sleeps "$NVME"
expect "no mark is left" test ! -e "/run/gpuvm/$NVME.state"

# The acceptance test for a card.
try "$GPUVM" test-reset --cycles 5 $GPU $USB $NVME
expect "test-reset: status 0" test "$status" = 0
expect "five cycles" said '^5 cycles, 0 failed'
expect "the table counts them" said "^$GPU, $AUDIO, hot reset  *5 "
expect "the registers show that the hot reset reached them" said "^cycle  *5  $GPU, $AUDIO: .*CORBLBASE of $AUDIO cleared"
AUDIO2=0000:07:00.1
try "$GPUVM" test-reset --cycles 3 $GPU2
expect "test-reset of a GPU that offers a bus reset only: status 0" test "$status" = 0
expect "each hot reset reached both functions, as their registers show" test "$(grep -c \
  "^cycle .* $GPU2, $AUDIO2: hot reset, .* verified, VBE_DISPI_INDEX_XRES of $GPU2, CORBLBASE of $AUDIO2 cleared" "$WORK/said")" = 3
try "$GPUVM" test-reset --cycles 2 --json $GPU $USB $NVME
expect "JSON: an object for each set and cycle" test "$(grep -c '^{"cycle":[12],.*"verdict":"verified".*"is_safe":true}' "$WORK/said")" = 6
expect "a JSON summary" said '^{"cycles":2,"failed":0}'
finish
