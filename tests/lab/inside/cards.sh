#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

SCREEN=0000:01:00.0 AUDIO=0000:01:00.1 CARD=0000:07:00.0
declare -A waiters=()

# COMMAND…: its exit status in $status, what it says in $WORK/said.
try() {
  status=0
  "$@" >"$WORK/said" 2>&1 </dev/null || status=$?
  cat "$WORK/said"
}
said() { grep -q -- "$1" "$WORK/said"; }
tickets() { find /run/gpuvm -name 'ticket-*' | wc -l; }

# within SECONDS COMMAND…: until it succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    pause 0.05
  done
}

# queue_up NAME CONFIG TICKETS [OPTION…]: a gpuvm that waits, with so many tickets in the queue then; waiters[NAME] is its process.
queue_up() {
  local name=$1 config=$2 count=$3
  shift 3
  "$GPUVM" run "$WORK/$config.toml" --set "name=$name" --wait 20m "$@" <&"$nothing" >"$WORK/$name.console" 2>"$WORK/$name.log" 7>&- &
  waiters[$name]=$!
  expect "$name waits" within 30 eval "((\$(tickets) == $count))"
}
# end_of NAME: waits for it; its exit status in $status.
end_of() {
  status=0
  wait "${waiters[$1]}" || status=$?
}
has_said() { grep -q -- "$2" "$WORK/$1.log"; }

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
for name in holder job pair; do
  script='echo RAN with $(grep -l "^0x03" /sys/bus/pci/devices/*/class | wc -l) cards'
  [[ $name != holder ]] || script='echo WAITING; read -r word'
  make_guest "$name" "$script" <<'END'
[[pci]]
match = "class:0380"
END
done
cat >>"$WORK/pair.toml" <<'END'
[[pci]]
match = "any-gpu"
END

modprobe -a snd_hda_intel bochs
expect "the lab host's drivers have the cards" within 20 eval '[[ $(driver_of $SCREEN) == bochs-drm && $(driver_of $CARD) == bochs-drm ]]'
before=$(host_state)

# What is free, without touching it.
try "$GPUVM" inspect "$WORK/holder.toml" --set 'pci.0.match="any-gpu"'
expect "inspect: status 0" test "$status" = 0
expect "the host's screen is left to it" said "$SCREEN: the screen that the host started with (boot_vga)"
expect "and the other card is the one" said "$CARD: this one"
try "$GPUVM" run --dry-run "$WORK/holder.toml"
expect "a dry run shows the address in place of match" said "^host = \"$CARD\""
try "$GPUVM" run -q "$WORK/holder.toml" --set 'pci.0.match="10de:*"'
expect "no card matches: status 69" test "$status" = 69
expect "it says so" said 'This host has no card for pci.0 .*match = 10de:\*'
expect "everything is as before" state_is "$before"

# Two callers behind one card; one more is killed, and one gives up.
start_guest holder
wait_console WAITING 300
expect "the log names the card" logged "pci.0 (.*) has $CARD"
try "$GPUVM" run -q "$WORK/job.toml"
expect "without --wait a taken card is an error at once: status 69" test "$status" = 69
expect "it says who has it" said "$CARD: taken by gpuvm $guest (the guest holder)"
queue_up first job 1
queue_up second job 2
queue_up killed job 3
queue_up leaver job 4
expect "each knows how many are ahead" has_said leaver 'behind 3 other guests: .*taken by gpuvm'
kill_gpuvm "${waiters[killed]}"
kill -TERM "${waiters[leaver]}"
end_of leaver
expect "SIGTERM ends a wait: status 143" test "$status" = 143
expect "nothing of it ran" test ! -s "$WORK/leaver.console"
expect "and nobody is behind the dead" within 5 eval '(($(tickets) == 2))'
end_of killed || true
try "$GPUVM" run -q "$WORK/job.toml"
expect "who does not wait does not push in" test "$status" = 69
type_line on
wait_guest 180
expect "the holder ends: status 0" test "$guest_status" = 0
end_of first
expect "the first in the queue gets the card, and ends well: status 0" test "$status" = 0
expect "the second has not had it before" test ! -s "$WORK/second.console"
end_of second
expect "the second gets it then: status 0" test "$status" = 0
expect "each guest had the card" eval 'grep -q "RAN with 1 cards" "$WORK/first.console" && grep -q "RAN with 1 cards" "$WORK/second.console"'
expect "everything is as before, and no ticket is left" state_is "$before"

# A holder that is killed leaves the card dirty; who waits for it repairs it.
start_guest holder
wait_console WAITING 300
queue_up heir job 1
kill_gpuvm "$guest"
wait_guest 10
end_of heir
expect "the heir of a killed gpuvm: status 0" test "$status" = 0
expect "it has repaired the card first" has_said heir "$CARD was left dirty (the guest holder had it when gpuvm ended): it is repaired first"
expect "everything is as before" state_is "$before"

# Two sections get two cards, once the screen is VFIO's.
for bdf in $SCREEN $AUDIO; do
  echo vfio-pci >"/sys/bus/pci/devices/$bdf/driver_override"
  echo "$bdf" >"/sys/bus/pci/devices/$bdf/driver/unbind" || true
  echo "$bdf" >/sys/bus/pci/drivers_probe
done
run_guest pair
expect "two sections: status 0" test "$guest_status" = 0
expect "and two cards" grep -q 'RAN with 2 cards' "$CONSOLE"
try "$GPUVM" run -q "$WORK/pair.toml" --set 'pci.2.match="any-gpu"'
expect "for a third section there is none: status 69" test "$status" = 69
expect "it says so" said 'This host has too few cards for pci.2'
expect "and none is taken" eval '[[ -z $(find /run/gpuvm -name "*.state") ]]'

finish
