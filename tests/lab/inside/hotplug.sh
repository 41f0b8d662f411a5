#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/hotplug.sh"

GPU=0000:01:00.0 AUDIO=0000:01:00.1 USB=0000:02:00.0 VGPU=0000:03:00.0 NVME=0000:04:00.0
declare -A ids=([$GPU]=1234:1111 [$USB]=1033:0194 [$VGPU]=1af4:1050 [$NVME]=1b36:0010)
declare -A drivers=([$GPU]=bochs-drm [$USB]=xhci_hcd [$VGPU]=virtio-pci [$NVME]=nvme)
EVENTS=$WORK/main.events
cycles=${LAB_HOTPLUG_CYCLES:-3}

event() { grep -q -- "$1" "$EVENTS"; }
step_times() { grep -c "\"event\":\"card\".*\"step\":\"$1\"" "$EVENTS" || true; }

guest_script=$card_words'
# Its own driver can be loaded when the controller has found it.
has_keyboard() {
  load
  grep -q Keyboard /proc/bus/input/devices
}
services() { for service in /sys/bus/pci_express/drivers/pciehp/*:pcie*; do echo "${service##*/}"; done; }
# Bytes through the card.
work() {
  case $1 in
    nvme) disk_works ;;
    bochs-drm)
      until_true 20 test -c /dev/fb0 || return 1
      # The console and its cursor leave the screen.
      for console in /sys/class/vtconsole/*; do grep -q "frame buffer" "$console/name" && echo 0 >"$console/bind"; done
      dd if=/tile of=/dev/fb0 bs=50021 count=1 2>/dev/null
      dd if=/dev/fb0 bs=50021 count=1 2>/dev/null | cmp - /tile ;;
    virtio-pci) until_true 20 test -c /dev/dri/renderD128 || until_true 20 ls /dev/dri/card0 ;;
    xhci_hcd) until_true 60 has_keyboard ;;
  esac
}
do_it() {
  case $1 in
    came) until_true 60 is_bound "$2" "$3" && echo "bound $2 $3" || echo "not bound $2" ;;
    gone) until_true 60 is_gone "$2" && echo "gone $2" || echo "still there $2" ;;
    work) work "$2" && echo "works $2" || echo "does not work $2" ;;
    pattern) show_pattern >/tmp/pattern; cat /tmp/pattern >/dev/console; echo shown ;;
    slots) echo slots $(ls /sys/bus/pci/slots) ;;
    off) for slot in /sys/bus/pci/slots/*/power; do [ "$(cat $slot)" = 0 ] || echo 0 >"$slot"; done; echo switched ;;
    deaf)
      services >/tmp/services
      while read -r s; do echo "$s" >/sys/bus/pci_express/drivers/pciehp/unbind; done </tmp/services
      echo deaf ;;
    hear) # and forgets what went meanwhile
      echo 1 >"$(find_function "$2")/remove"
      while read -r s; do echo "$s" >/sys/bus/pci_express/drivers/pciehp/bind; done </tmp/services
      echo hears ;;
    hang) echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger ;;
    reboot) reboot -f ;;
    dmesg) show_dmesg; echo shown ;;
    end) return 1 ;;
  esac
}
echo READY
while read -r number words; do
  do_it $words >/tmp/answer || break
  if grep -q ^DMESG /tmp/answer; then cat /tmp/answer; fi
  echo "ANSWER $number $(tail -n 1 /tmp/answer)"
done
'

load_host_drivers
before=$(host_state)
make_tile main
make_guest main "$guest_script" <<'END'
[machine]
cpus = 2
memory = "1GiB"
free_ports = 2
reserve = "4GiB"
[sandbox]
mode = "off"
END

# A configuration that cannot be: the cure is told before anything happens.
refuses_to_run main 'free ports in a sandbox' 'or sandbox.mode = "off"' --set sandbox.mode=on

start_guest main --events "$EVENTS"
wait_console '^READY' 300
expect "the guest knows the slots" answers slots 'slots 1 2'
try "$GPUVM" attach main 0000:77:00.0
expect "a card that is not there: status 69, the guest runs on" test "$status" = 69

# Each card by the attention button, its work done each time.
fds=0 tasks=0
for bdf in $GPU $USB $VGPU $NVME; do
  for ((cycle = 1; cycle <= cycles; cycle++)); do
    begun=$EPOCHREALTIME
    try "$GPUVM" attach main "$bdf"
    [[ $status == 0 ]] || { expect "attach $bdf, cycle $cycle" false; break; }
    answers "came ${ids[$bdf]} ${drivers[$bdf]}" "bound ${ids[$bdf]} ${drivers[$bdf]}" \
      || { expect "$bdf has its driver, cycle $cycle" false; break; }
    bound=$(perl -e 'printf "%.1f", $ARGV[1] - $ARGV[0]' "$begun" "$EPOCHREALTIME")
    answers "work ${drivers[$bdf]}" "works ${drivers[$bdf]}" || { expect "$bdf works, cycle $cycle" false; break; }
    if [[ $bdf == "$GPU" && $cycle == 1 ]]; then
      expect "all functions of the card came" test "$(driver_of $AUDIO)" = vfio-pci
      ask pattern
      check_pattern main
    fi
    try "$GPUVM" detach main "$bdf"
    [[ $status == 0 ]] || { expect "detach $bdf, cycle $cycle" false; break; }
    answers "gone ${ids[$bdf]}" "gone ${ids[$bdf]}" || { expect "$bdf has left the guest, cycle $cycle" false; break; }
    if ((fds == 0)); then
      fds=$(descriptors "$guest") tasks=$(threads "$guest")
    fi
  done
  expect "$bdf came and went $cycles times" test "$cycle" -gt "$cycles"
  printf 'From attach to "driver bound" of %s in the guest: %s s\n' "$bdf" "${bound:-?}"
done
expect "no step was missed" test "$(step_times announced)" = "$(step_times gone)"
expect "each guest that was asked let go" test "$(step_times unanswered)" = 0
expect "no descriptor of gpuvm is left" test "$(descriptors "$guest")" -le "$fds"
expect "and no thread" test "$(threads "$guest")" -le "$tasks"
verified=$(grep -c '"event":"reset","reason":"stop".*"verdict":"verified"' "$EVENTS" || true)
expect "each card was reset and verified as it went" test "$verified" -ge $((4 * cycles))
for bdf in $GPU $AUDIO $USB; do
  expect "$bdf is with its driver" test "$(driver_of "$bdf")" != vfio-pci
done

# The guest lets go by itself, and then nobody is asked.
try "$GPUVM" attach main $NVME
expect "attach: status 0" test "$status" = 0
expect "the disk has its driver" answers "came ${ids[$NVME]} nvme" "bound ${ids[$NVME]} nvme"
expect "the guest switches its slots off" answers off switched
begun=$SECONDS
try "$GPUVM" detach main $NVME
expect "detach of a card without power: at once" test "$status,$((SECONDS - begun < 20))" = 0,1

# Two at once, and one too many.
"$GPUVM" attach main $NVME >"$WORK/first" 2>&1 &
first=$!
"$GPUVM" attach main $USB >"$WORK/second" 2>&1 &
second=$!
statuses=0
wait $first || statuses=$?
wait $second || statuses+=$?
cat "$WORK/first" "$WORK/second"
expect "two attaches at once" test "$statuses" = 0
expect "both have their drivers" answers "came ${ids[$USB]} xhci_hcd" "bound ${ids[$USB]} xhci_hcd"
expect "the other, too" answers "came ${ids[$NVME]} nvme" "bound ${ids[$NVME]} nvme"
try "$GPUVM" attach main $VGPU
expect "a third finds no port: status 69" test "$status" = 69
expect "it says why" said 'Each port that was kept free'
try "$GPUVM" attach main $USB
expect "a card that the guest has: status 69" test "$status" = 69
try "$GPUVM" status --json main
expect "status names them" said "$NVME"

ask dmesg
check_dmesg

# A guest that refuses: nobody listens to its slots any more.
expect "the guest's slots have no driver" answers deaf deaf
begun=$SECONDS
try "$GPUVM" detach main $USB
expect "detach from a guest that does not answer: status 0" test "$status" = 0
expect "after its 30 s" test $((SECONDS - begun)) -ge 29
expect "the events say that it did not answer" event '"step":"unanswered"'
expect "the controller is with the host's driver" test "$(driver_of $USB)" = xhci_hcd
expect "the guest goes on" answers "hear ${ids[$USB]}" hears
expect "the disk works all the same" answers 'work nvme' 'works nvme'

# A reboot in the midst of the asking: the card goes before the guest starts again, the other one stays.
try "$GPUVM" attach main $USB
expect "attach after that: status 0" test "$status" = 0
expect "it has its driver" answers "came ${ids[$USB]} xhci_hcd" "bound ${ids[$USB]} xhci_hcd"
asked_before=$(step_times asked)
"$GPUVM" detach main $USB >"$WORK/detached" 2>&1 &
detached=$!
until (($(step_times asked) > asked_before)); do pause 0.1; done
type_line '0 reboot'
wait_console '^READY' 300 2
status=0
wait $detached || status=$?
expect "the detach is done: status 0" test "$status" = 0
expect "the guest's next life has not got it" answers "gone ${ids[$USB]}" "gone ${ids[$USB]}"
expect "and has the other card" answers "came ${ids[$NVME]} nvme" "bound ${ids[$NVME]} nvme"
expect "which works" answers 'work nvme' 'works nvme'

# A guest that has crashed answers nothing; the card goes all the same.
type_line '0 hang'
pause 5
try "$GPUVM" detach main $NVME
expect "detach from a crashed guest: status 0" test "$status" = 0
end_guest
expect "everything is as before" state_is "$before"

# Killed at each step, then repaired.
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest small 'echo READY; read -r word' <<'END'
[machine]
free_ports = 1
reserve = "1GiB"
pin_memory = "early"
[sandbox]
mode = "off"
END
for step in claimed verified mapped shown announced asked; do
  : >"$WORK/small.events"
  start_guest small --events "$WORK/small.events"
  wait_console '^READY' 300
  {
    "$GPUVM" attach small $NVME
    # This guest has no driver for it: its slot is without power, and nobody has to wait.
    [[ $step != asked ]] || "$GPUVM" detach small $NVME
  } >"$WORK/moved" 2>&1 &
  moving=$!
  tries=0
  until grep -q "\"step\":\"$step\"" "$WORK/small.events"; do
    tries=$((tries + 1))
    ((tries < 600)) || break
    pause 0.05
  done
  kill_gpuvm "$guest"
  wait_guest 20
  wait $moving || true
  expect "killed when the card was $step: it got so far" grep -q "\"step\":\"$step\"" "$WORK/small.events"
  try "$GPUVM" unbind
  expect "killed when the card was $step: unbind repairs" test "$status" = 0
  expect "killed when the card was $step: everything is as before" state_is "$before"
done

# A stop with a card in its slot gives it back, too.
start_guest small --events "$WORK/small.events"
wait_console '^READY' 300
try "$GPUVM" attach small $NVME
expect "attach: status 0" test "$status" = 0
type_line on
wait_guest 180
expect "power off with the card: status 0" test "$guest_status" = 0
expect "everything is as before" state_is "$before"
finish
