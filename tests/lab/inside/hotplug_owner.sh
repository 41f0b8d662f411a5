#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/hotplug.sh"

GPU=0000:01:00.0 AUDIO=0000:01:00.1 USB=0000:02:00.0 NVME=0000:04:00.0
EVENTS=$WORK/main.events
cycles=${LAB_HOTPLUG_CYCLES:-2}

marks() { find /run/gpuvm -name '*.state' -o -name '*.binding' | wc -l; }
# monitor_of OWNER: the number of its monitor, once it is there (in place of inside.sh's).
monitor_of() {
  local tries=0
  until pgrep -P "$1" -x gpuvm; do
    tries=$((tries + 1))
    ((tries < 200)) || { echo "process $1 has no monitor" >&2; return 1; }
    pause 0.05
  done
}
opens_vfio() { [[ $(readlink /proc/"$1"/fd/* 2>/dev/null) == *vfio* ]]; }

# The disk's bytes go in and out again, by DMA; of the GPU it is enough that its driver has it.
guest_script=$card_words'
do_it() {
  case $1 in
    came) until_true 60 is_bound "$2" "$3" && echo "bound $2" || echo "not bound $2" ;;
    gone) until_true 60 is_gone "$2" && echo "gone $2" || echo "still there $2" ;;
    work) disk_works && echo works || echo "does not work" ;;
    reboot) reboot -f ;;
    end) return 1 ;;
  esac
}
echo READY
while read -r number words; do
  do_it $words >/tmp/answer || break
  echo "ANSWER $number $(tail -n 1 /tmp/answer)"
done
'

load_host_drivers
before=$(host_state)
declare -A host_drivers=([$GPU]=$(driver_of $GPU) [$NVME]=$(driver_of $NVME))
make_guest main "$guest_script" <<'END'
[machine]
cpus = 2
memory = "1GiB"
free_ports = 2
reserve = "4GiB"
attachable = ["0000:04:00.0", "0000:01:00.0"]
[sandbox]
owner = "process"
END

# What cannot be is told before anything happens.
refuses_to_run main 'an owner without a list' 'needs machine.attachable' --set machine.attachable=[]
refuses_to_run main 'a card of the list that is absent' '0000:77:00.0' --set 'machine.attachable=["0000:77:00.0"]'
expect "nothing has happened to the host" state_is "$before"

start_guest main --events "$EVENTS"
wait_console '^READY' 300
monitor=$(monitor_of "$guest")
try "$GPUVM" attach main $USB
expect "a card that is not listed: status 69" test "$status" = 69
expect "it says what to do" said machine.attachable
expect "its driver has it" test "$(driver_of $USB)" = xhci_hcd

declare -A ids=([$GPU]=1234:1111 [$NVME]=1b36:0010)
declare -A drivers=([$GPU]=bochs-drm [$NVME]=nvme)
fds=0 tasks=0
for bdf in $NVME $GPU; do
  for ((cycle = 1; cycle <= cycles; cycle++)); do
    try "$GPUVM" attach main "$bdf"
    [[ $status == 0 ]] || { expect "attach $bdf, cycle $cycle" false; break; }
    answers "came ${ids[$bdf]} ${drivers[$bdf]}" "bound ${ids[$bdf]}" \
      || { expect "$bdf has its driver, cycle $cycle" false; break; }
    if ((cycle == 1)); then
      expect "the owner has the claim of $bdf" grep -qx "pid=$guest" "/run/gpuvm/$bdf.state"
      expect "the monitor has $bdf open" opens_vfio "$monitor"
      expect_not "the owner has nothing open" opens_vfio "$guest"
      [[ $bdf != "$NVME" ]] || expect "the disk works" answers work works
      [[ $bdf != "$GPU" ]] || expect "all functions of the card came" test "$(driver_of $AUDIO)" = vfio-pci
    fi
    try "$GPUVM" detach main "$bdf"
    [[ $status == 0 ]] || { expect "detach $bdf, cycle $cycle" false; break; }
    answers "gone ${ids[$bdf]}" "gone ${ids[$bdf]}" || { expect "$bdf has left the guest, cycle $cycle" false; break; }
    expect "$bdf has the driver that it had when the detach comes back" test "$(driver_of "$bdf")" = "${host_drivers[$bdf]}"
    expect "no mark is left" test "$(marks)" = 0
    if ((fds == 0)); then
      fds=$(descriptors "$monitor") tasks=$(threads "$monitor")
    fi
  done
  expect "$bdf came and went $cycles times" test "$cycle" -gt "$cycles"
done
expect "no descriptor of the monitor is left" test "$(descriptors "$monitor")" -le "$fds"
expect "and no thread" test "$(threads "$monitor")" -le "$tasks"
expect "the owner has verified each card as it came" test "$(grep -c 'Reset at start: .*verified' "$LOG")" -ge $((2 * cycles))
expect "and as it went" test "$(grep -c 'Reset at repair: .*verified' "$LOG")" -ge $((2 * cycles))

# A reboot keeps the card.
try "$GPUVM" attach main $NVME
expect "attach: status 0" test "$status" = 0
expect "it has its driver" answers "came ${ids[$NVME]} nvme" "bound ${ids[$NVME]}"
type_line '0 reboot'
wait_console '^READY' 300 2
expect "the guest's next life has the card" answers "came ${ids[$NVME]} nvme" "bound ${ids[$NVME]}"
expect "which works" answers work works
expect "by the same monitor, which made no forbidden call" test "$(monitor_of "$guest")" = "$monitor"

# A monitor that is killed with a card.
kill -KILL "$monitor"
wait_guest 180
expect "a killed monitor: exit status" test "$guest_status" = 137
expect "no mark is left" test "$(marks)" = 0
expect "drivers are back, and no process is left" state_is "$before"

# And while one comes, at three moments.
for moment in 0.1 0.4 1.0; do
  start_guest main
  wait_console '^READY' 300
  monitor=$(monitor_of "$guest")
  "$GPUVM" attach main $NVME >"$WORK/moved" 2>&1 &
  moving=$!
  pause "$moment"
  kill -KILL "$monitor"
  wait_guest 180
  wait $moving || true
  expect "killed $moment s after an attach began: exit status" test "$guest_status" = 137
  expect "killed $moment s after an attach began: no mark is left" test "$(marks)" = 0
  expect "killed $moment s after an attach began: everything is as before" state_is "$before"
done

# The guest's own end, with the card.
start_guest main
wait_console '^READY' 300
try "$GPUVM" attach main $NVME
expect "attach: status 0" test "$status" = 0
type_line '0 end'
wait_guest 180
expect "power off with the card: status 0" test "$guest_status" = 0
expect "everything is as before" state_is "$before"
finish
