#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_SOAK_SET, LAB_SOAK_REBOOTS, LAB_SOAK_RUNS, LAB_SOAK_KILLS, LAB_SOAK_SEED, LAB_SOAK_LEAK (a library to load).
. "$(dirname "$0")/../lib/inside.sh"

case $LAB_SOAK_SET in
  gpu,usb)
    functions=(0000:01:00.0 0000:02:00.0)
    drivers=('1234:1111 bochs-drm' '8086:2668 snd_hda_intel' '1033:0194 xhci_hcd')
    ;;
  vgpu,nvme)
    functions=(0000:03:00.0 0000:04:00.0)
    drivers=('1af4:1050 virtio-pci' '1b36:0010 nvme')
    ;;
esac
# What a crash may find gpuvm at: the disk's DMA goes on until the end.
guest_script='
show_drivers
until_true 20 test -e /sys/class/graphics/fb0 && show_pattern
if until_true 5 test -b /dev/nvme0n1; then
  echo "DISK $(dd if=/dev/nvme0n1 bs=1M count=16 iflag=direct 2>/dev/null | md5sum | cut -d" " -f1)"
  while :; do dd if=/dev/nvme0n1 of=/dev/null bs=1M count=64 iflag=direct 2>/dev/null; done &
fi
echo READY
read -r word
[ "$word" = reboot ] || poweroff -f
'

# What gpuvm holds: open files by kind, threads, mappings, VMs, locked memory.
holdings() {
  local monitor
  monitor=$(monitor_of "$guest")
  find "/proc/$monitor/fd" -type l -printf '%l\n' | sed 's/[0-9]\+//g' | sort | uniq -c
  cat "/proc/$monitor"/task/*/comm | sort | uniq -c
  sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* *//p' "/proc/$monitor/maps" | grep -v '^$' | sort | uniq -c
  printf '%s VMs\n' "$(find /sys/kernel/debug/kvm -mindepth 1 -maxdepth 1 -type d | wc -l)"
  grep -E '^Vm(Lck|Pin)' "/proc/$monitor/status"
  [[ $monitor == "$guest" ]] || find "/proc/$guest/fd" -type l -printf 'owner: %l\n' | sed 's/[0-9]\+//g' | sort | uniq -c
}
# Private memory in KiB by mapping, without the guest's own and the devices'; "heap": the allocator's and the stacks of threads.
# Dirty pages only: whether a clean page of a library counts as private depends on who else has it open.
private_memory() {
  awk '/^[0-9a-f]+-/ { kind = NF < 6 || $6 == "[heap]" ? "heap" : $6; guest = /\(deleted\)|memfd|vfio/ }
    /^Private_Dirty/ && !guest { sum[kind] += $2 }
    END { for (kind in sum) printf "%s %d\n", kind, sum[kind] }' "/proc/$(monitor_of "$guest")/smaps" | sort
}
# held FIELD FROM TO: what gpuvm said of itself each time it went from one state to the other, a number a line.
held() { sed -n "s/.*\"from\":\"$2\",\"to\":\"$3\".*\"$1\":\([0-9]*\).*/\1/p" "$WORK/main.events"; }
# least_heap FROM TO: the least that gpuvm held at the starts after reboots FROM to TO, in bytes: what threads have in hand at
# that moment comes and goes.
least_heap() { held heap_bytes rebooting running | sed -n "$1,$2p" | sort -n | head -n 1; }
total() { awk '{ sum += $2 } END { print sum }' "$1"; }
# From the second time on it is always the same, and somebody said so.
is_constant() { (($(held "$@" | wc -l) >= LAB_SOAK_REBOOTS && $(held "$@" | tail -n +2 | sort -u | wc -l) == 1)); }

# check_boot TIMES: the guest has come up for the TIMESth time, with all drivers, and its devices work.
check_boot() {
  local driver
  wait_console '^READY' 300 "$1" || return 1
  for driver in "${drivers[@]}"; do
    said_times "^DRIVER $driver" "$1" || { echo "no driver: $driver"; return 1; }
  done
  said_times '^FRAME 1280 800 5120' "$1" || { echo "no picture was drawn"; return 1; }
  [[ -z $disk_md5 ]] || said_times "^DISK $disk_md5" "$1" || { echo "the disk reads otherwise"; return 1; }
  pattern_shows
}

# The physical screen shows the guest's pattern, byte for byte.
pattern_shows() {
  local end=$((SECONDS + 30))
  until lab-screenshot pattern.ppm "${LAB_SOAK_SET%,*}" && tail -c $((1280 * 800 * 3)) "$LAB_OUT/pattern.ppm" | cmp - "$WORK/pattern.rgb"; do
    ((SECONDS < end)) || return 1
  done
}

# Where a guest that says nothing any more stands, for $LAB_OUT: twice what the host's threads, interrupts and KVM's counters say, with
# two seconds of KVM's trace between, whose lines have the guest's instruction pointers; then the host's log, which has the IOMMU's events.
show_silence() {
  local time trace=/sys/kernel/tracing
  is_running "$guest" || return 0
  mountpoint -q $trace || mount -t tracefs none $trace
  for time in before after; do
    printf '%s:\n' "$time"
    ps -L -o comm,stat,wchan:32,time -p "$guest,$(monitor_of "$guest")"
    grep -E 'CPU0|vfio' /proc/interrupts
    grep . /sys/kernel/debug/kvm/{exits,irq_exits,irq_injections,halt_exits,io_exits,mmio_exits} || true
    [[ $time == before ]] || break
    echo 1 >$trace/events/kvm/enable
    sleep 2
    echo 0 >$trace/events/kvm/enable
    grep -v '^#' $trace/trace | tail -n 400 >"$LAB_OUT/silence.trace" || true
  done
  dmesg | tail -n 40
}

power_off() {
  type_line off
  wait_guest 120
  expect "$1: power off gives status 0" test "$guest_status" = 0
}

# The allocator would keep freed blocks for the next call of the thread that freed them, and count them as in use.
# start_guest runs this as gpuvm.
cat >"$WORK/exact-gpuvm" <<END
#!/bin/bash
export GLIBC_TUNABLES=glibc.malloc.tcache_count=0
[[ -z "${LAB_SOAK_LEAK:-}" ]] || export LD_PRELOAD="${LAB_SOAK_LEAK:-}"
exec "$GPUVM" "\$@"
END
chmod +x "$WORK/exact-gpuvm"
GPUVM=$WORK/exact-gpuvm

RANDOM=$LAB_SOAK_SEED
echo "set $LAB_SOAK_SET, seed $LAB_SOAK_SEED: $LAB_SOAK_REBOOTS reboots, $LAB_SOAK_RUNS runs, $LAB_SOAK_KILLS kills"
disk_md5=
if [[ $LAB_SOAK_SET == gpu,usb ]]; then
  load_host_drivers
else
  disk_md5=$(head -c $((16 << 20)) "$LAB_OUT/nvme.img" | md5sum | cut -d' ' -f1)
fi
before=$(host_state)
make_tile main
# As a picture of 1280 x 800, once: tests/lab/lib/check_screen.sh takes the lab host ten seconds each time.
perl -e 'local $/; my $frame = substr(<STDIN> x 100, 0, 1280 * 800 * 4); $frame =~ s/(.)(.)(.)./$3$2$1/gs; print $frame' \
  <"$WORK/initrd-main/tile" >"$WORK/pattern.rgb"
# shellcheck disable=SC2034 # make_guest reads it
GUEST_CMDLINE=guest.end=reboot
{
  printf '[[pci]]\nhost = "%s"\n' "${functions[@]}"
  # The library's calls are none of gpuvm's.
  [[ -z "${LAB_SOAK_LEAK:-}" ]] || printf '[sandbox]\nmode = "off"\n'
} | make_guest main "$guest_script"

# Reboots in one run. What gpuvm holds after the last is what it held after the second.
start_guest main --events "$WORK/main.events"
expect "start" check_boot 1
for ((reboot = 1; reboot <= LAB_SOAK_REBOOTS; reboot++)); do
  type_line reboot
  expect "reboot $reboot" check_boot $((reboot + 1))
  # The console, which tells why, gets to $LAB_OUT at the end.
  ((failed_checks == 0)) || { show_silence >"$LAB_OUT/silence" 2>&1; finish; exit 1; }
  if ((reboot == 2)); then
    holdings >"$LAB_OUT/holdings.second"
    private_memory >"$LAB_OUT/private.second"
  fi
done
holdings >"$LAB_OUT/holdings.last"
private_memory >"$LAB_OUT/private.last"
power_off "reboots"
expect "$LAB_SOAK_REBOOTS reboots are counted" grep -q "\"reboots\": *${LAB_SOAK_REBOOTS}[,}]" "$WORK/main.inspect.json"
cat "$LAB_OUT/holdings.last"
expect "files, threads, mappings, VMs and locked memory are those after the second reboot" \
  diff "$LAB_OUT/holdings.second" "$LAB_OUT/holdings.last"
for change in 'running rebooting' 'rebooting running'; do
  # shellcheck disable=SC2086 # words
  expect "memory slots, ${change/ / to }: as at the second reboot at every later one" is_constant memory_slots $change
done
held memory_slots running rebooting | uniq -c
held heap_bytes rebooting running | uniq -c
# A leak of a byte a reboot would show in a hundred: the second half's least is more than the first's. Of a few reboots all may have
# been asked with bytes in hand.
half=$(((LAB_SOAK_REBOOTS + 2) / 2)) in_hand=0
((LAB_SOAK_REBOOTS >= 50)) || in_hand=1024
expect "no more heap in use after the reboots $((half + 1)) to $LAB_SOAK_REBOOTS than after 2 to $half" \
  test "$(least_heap $((half + 1)) "$LAB_SOAK_REBOOTS")" -le $(($(least_heap 2 "$half") + in_hand))
echo "private memory: $(total "$LAB_OUT/private.second") KiB after the second reboot, $(total "$LAB_OUT/private.last") KiB after the last"
diff "$LAB_OUT/private.second" "$LAB_OUT/private.last" || true
# A page or two may be touched for the first time, by a deeper stack.
expect "private memory grew by less than 16 KiB" \
  test "$(total "$LAB_OUT/private.last")" -lt $(($(total "$LAB_OUT/private.second") + 16))
expect "nothing is left" state_is "$before"

# Whole runs.
for ((run = 1; run <= LAB_SOAK_RUNS; run++)); do
  start_guest main
  expect "run $run" check_boot 1
  power_off "run $run"
done
expect "nothing is left" state_is "$before"

# Killed at a random moment: while gpuvm takes the devices and resets them, while the guest boots and maps their BARs, and while
# it works with them; then a clean start. KILLED lines say what gpuvm had reported last.
start_with_events() { rm -f "$WORK/main.events" && start_guest main --events "$WORK/main.events"; }
last_event() { tail -n 1 "$WORK/main.events" 2>/dev/null | sed -n 's/.*"\(reason\|to\)":"\([^"]*\)".*/\1 \2/p' | grep . || echo nothing; }
ms_since_start() { echo $((($1 - ${started/./}) / 1000)); }
pause_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
reset_ms=1000 boot_ms=6000
for ((round = 1; round <= LAB_SOAK_KILLS; round++)); do
  start_with_events
  case $((round % 3)) in
    1) moment=$((RANDOM % reset_ms)) ;;
    2) moment=$((reset_ms + RANDOM % boot_ms)) ;;
    0) expect "round $round: up before the kill" check_boot 1 && moment=$((RANDOM % 2000)) ;;
  esac
  pause_ms "$moment"
  kill_gpuvm "$guest" || true
  guest_status=0
  wait "$guest" || guest_status=$? # what it has taken may take a while to be given back
  echo "KILLED after $(ms_since_start "${EPOCHREALTIME/./}") ms, gpuvm had reported: $(last_event)"
  expect "round $round: killed" test "$guest_status" = 137
  start_with_events
  expect "round $round: the next start" check_boot 1
  boot_ms=$(ms_since_start "${EPOCHREALTIME/./}")
  reset_ms=$(ms_since_start "$(date -d "$(sed -n 's/.*"time":"\([^"]*\)".*"to":"resetting".*/\1/p' "$WORK/main.events")" +%s%6N)")
  power_off "round $round"
done
echo "up after $boot_ms ms, its devices reset after $reset_ms ms"
expect "nothing is left" state_is "$before"

if [[ $LAB_SOAK_SET == gpu,usb ]]; then
  # shellcheck disable=SC2034 # make_guest reads it
  GUEST_INITRD=$LAB_PLAIN_INITRD
  make_guest exit true <<'END'
[machine]
on_reboot = "exit"
END
  run_guest exit
  expect 'on_reboot = "exit" gives exit status 32' test "$guest_status" = 32
  expect "the guest started once" test "$(grep -ac GUEST-INIT-REACHED "$CONSOLE")" = 1
fi
finish
