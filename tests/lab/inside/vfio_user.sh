#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

SOCKET=$WORK/gpu.sock
VRAM=$WORK/vram
export GUEST_INITRD=$LAB_PLAIN_INITRD
mkfifo "$WORK/said"

# start_server OPTION…: the fake GPU, until stop_server or its own end.
start_server() {
  "$LAB_FAKE_GPU" --socket "$SOCKET" --vram-file "$VRAM" "$@" >"$WORK/said" &
  server=$!
  read -r _ <"$WORK/said"
}
stop_server() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
vram_has() { [[ $(tail -c +$(($1 + 1)) "$VRAM" | head -c "${#2}") == "$2" ]]; }
vram_word() { od -An -tx4 -j $(($1)) -N 4 "$VRAM" | tr -d ' '; }

# The registers' and VRAM's addresses in the guest, and a marker in VRAM, which outlives a reset, for the second boot.
COMMON='
gpu=$(find_function 1234:fa4e || find_function 10de:2c05) bdf=${gpu##*/}
echo 1 >$gpu/enable
setpci -s $bdf COMMAND=6:6
regs=$(sed -n 1p $gpu/resource | cut -d" " -f1) vram=$(sed -n 3p $gpu/resource | cut -d" " -f1)
get() { devmem $(($1)) 32; }
put() { devmem $(($1)) 32 $2; }
'

# 1. A guest with it and with a GPU of the host.
cat >"$WORK/first.sh" <<END
$COMMON
echo "LSPCI \$(lspci -n -s \$bdf)"
if [ "\$(get \$vram+0x300000)" = 0x0000B007 ]; then
  echo "SECOND-BOOT \$(get \$regs+0x134)"
  poweroff -f
fi
echo "BOOT0 \$(get \$regs)"
echo "HOST-GPU \$(lspci -n -d 1234:1111 | wc -l)"
/bar_write \$gpu/resource2 0x1000 gpuvm-in-vram && echo VRAM-WRITTEN
# The page at 48 MiB is not the kernel's (memmap=).
put 0x3000000 0xfeedf00d
put \$regs+0x110 0x3000000; put \$regs+0x118 0x1000; put \$regs+0x11c 0x200000; put \$regs+0x120 1
echo "DMA-STATUS \$(get \$regs+0x104)"
put \$regs+0x110 0x3001000; put \$regs+0x120 2
echo "DMA-BACK \$(get 0x3001000)"
setpci -s \$bdf 54.L=fee00000 58.L=0 5c.W=a5 52.W=1:1
put \$regs+0x130 0
sleep 0.3  # the kernel complains at once on its console
setpci -s \$bdf 52.W=0:1
for method in flr bus; do
  put \$regs+0x134 0x5555
  echo "SCRATCH \$(get \$regs+0x134)"
  echo \$method >\$gpu/reset_method && echo 1 >\$gpu/reset && echo "RESET-\$method \$(get \$regs+0x134) \$(get \$regs)"
done
setpci -s \$bdf 44.W=3
echo "ASLEEP \$(setpci -s \$bdf 44.W) \$(get \$regs)"
setpci -s \$bdf 44.W=0
echo "AWAKE \$(setpci -s \$bdf 44.W) \$(get \$regs)"
put \$regs+0x134 0x7777
put \$regs+0x100 3
put \$vram+0x300000 0xb007
reboot -f
END
mkdir -p "$WORK/initrd-main"
cp "$LAB_OUT/bar_write" "$WORK/initrd-main/"
GUEST_CMDLINE='memmap=1M$48M' make_guest main "$(cat "$WORK/first.sh")" <<END
[[pci]]
host = "0000:01:00.0"
[[pci]]
socket = "$SOCKET"
port = 1
END
before=$(host_state)
start_server
run_guest main
stop_server
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the guest sees the function" guest_said '^LSPCI 02:00.0 0302: 1234:fa4e'
expect "and the host's GPU beside it" guest_said '^HOST-GPU 1'
expect "its registers answer" guest_said '^BOOT0 0x164000A1'
expect "the guest writes to VRAM" guest_said '^VRAM-WRITTEN'
expect "which is in the server's file" vram_has 0x1000 gpuvm-in-vram
expect "its DMA ends well" guest_said '^DMA-STATUS 0x00000001'
expect "what it read is in VRAM" test "$(vram_word 0x200000)" = feedf00d
expect "what it wrote is in guest memory" guest_said '^DMA-BACK 0xFEEDF00D'
expect "its MSI arrives" guest_said 'No irq handler for 0.165'
expect "the guest's function level reset clears it" guest_said '^RESET-flr 0x00000000 0x164000A1'
expect "gpuvm has checked it" logged "$SOCKET: The guest reset the function: function reset of $SOCKET .*verified"
expect "asleep in D3hot it answers nothing but configuration accesses" guest_said '^ASLEEP 0003 0xFFFFFFFF'
expect "awake it is there again" guest_said '^AWAKE 0000 0x164000A1'
expect "gpuvm has checked that, too" logged "$SOCKET: The guest reset the function: power management reset of $SOCKET .*verified"
expect "the guest's bus reset clears it" guest_said '^RESET-bus 0x00000000 0x164000A1'
expect "gpuvm says so" logged 'The guest reset the bus: hot reset of .*gpu.sock.*verified'
expect "the guest boots again, with a fresh function" guest_said '^SECOND-BOOT 0x00000000'
expect "reset at the reboot, and verified" logged "Reset at reboot: $SOCKET: hot reset, verified"
expect "reset at the end, and verified" logged "Reset at stop: $SOCKET: hot reset, verified"
expect "nothing is left" state_is "$before"

# 2. A server that dies, and one that reports an error after it was asked for back.
make_guest waits 'echo GUEST-WAITS; sleep 600' <<END
[[pci]]
socket = "$SOCKET"
END
start_server
start_guest waits
wait_console GUEST-WAITS 120
second=0
"$GPUVM" run --set name=second "$WORK/waits.toml" </dev/null >"$WORK/second.log" 2>&1 || second=$?
expect "a second gpuvm at the same server: status 69" test "$second" = 69
expect "it hears who has it" grep -q "$SOCKET belongs to the guest waits (gpuvm, pid $guest): stop that first" "$WORK/second.log"
kill -9 "$server"
wait_guest 30
expect "a server that dies: status 75" test "$guest_status" = 75
expect "the message names it" logged "A device of the guest has left: $SOCKET: Its vfio-user server has gone"
stop_server
start_server
start_guest waits
wait_console GUEST-WAITS 120
kill -USR2 "$server"
for _ in $(seq 100); do
  logged 'Power button pressed' && break
  sleep 0.1
done
expect "a request for the device presses the power button" logged "The host wants $SOCKET back: the guest is to end"
kill -USR1 "$server"
wait_guest 30
expect "an error of the device: status 75" test "$guest_status" = 75
expect "the message names it" logged "$SOCKET has reported an error"
expect "its last reset was verified" logged "Reset at stop: $SOCKET: hot reset, verified"
stop_server

# 3. Functions that no guest may have.
# refused TEXT OPTION…: no guest starts; status 75; TEXT in the message.
refused() {
  local text=$1
  shift
  start_server "$@"
  rm -f "$WORK/waits.events"
  run_guest waits --events "$WORK/waits.events"
  expect "$*: status 75" test "$guest_status" = 75
  expect "$*: the message says why" logged "$text"
  expect "$*: once" test "$(grep -c 'error: ' "$LOG")" = 1
  expect "$*: it was reset once" test "$(grep -c '"event":"reset"' "$WORK/waits.events")" -le 1
  expect_not "$*: no guest ran" guest_said GUEST-WAITS
  stop_server
}
refused 'link width is x1, but was x16' --fault narrow-link
refused 'does not answer' --fault dead
refused 'No safe reset is known' --fault no-flr --fault no-slot-reset
refused 'Start again what served it' --fault leaves

# 4. One that does not come back from the reset at a reboot.
make_guest reboots 'echo GUEST-REBOOTS; reboot -f' <<END
[[pci]]
socket = "$SOCKET"
END
start_server --fault narrow-link --good-resets 1
run_guest reboots
expect "a bad reset at a reboot: status 75" test "$guest_status" = 75
expect "the message says why" logged 'link width is x1, but was x16'
expect "the guest ran once" test "$(grep -ac '^GUEST-REBOOTS' "$CONSOLE")" = 1
stop_server

# 5. One whose best method does not help once it has worked: reboots find that out once. What a guest has done to them has no say in
# the reset for the next user, which finds it out for itself.
make_guest works "$COMMON
put \$regs+0x100 2
echo GUEST-WORKS
read -r word
[ \"\$word\" = off ] || reboot -f" <<END
[[pci]]
socket = "$SOCKET"
END
start_server --id 10de:2c05 --fault flr-keeps-state
start_guest works
for boot in 1 2 3; do
  wait_console GUEST-WORKS 120 "$boot"
  type_line "$([[ $boot == 3 ]] && echo off || echo reboot)"
done
wait_guest 60
expect "a function reset that does not help: status 0" test "$guest_status" = 0
expect "the reboot found that out, and a hot reset helped" logged "Reset at reboot: $SOCKET: hot reset, verified"
expect "the stop found it out, too" logged "Reset at stop: $SOCKET: hot reset, verified"
expect "the function reset was tried once by two reboots, and once by the stop" \
  test "$(grep -c "function reset of $SOCKET was not enough" "$LOG")" = 2
stop_server

# 6. A reset at a reboot that takes 20 s: who wants gpuvm to end is heard meanwhile.
make_guest slow 'echo GUEST-REBOOTS; reboot -f' <<END
[[pci]]
socket = "$SOCKET"
END
start_server --fault not-ready=20000 --good-resets 1
start_guest slow
wait_log 'The guest resets' 120
kill -TERM "$guest"
wait_log 'The guest ends when the reset of its devices is done' 15
expect "SIGTERM during a reset at a reboot is heard at once" logged 'The guest ends when the reset of its devices is done'
expect_not "the reset was not over then" logged "Reset at reboot: $SOCKET"
wait_guest 100
expect "and ends gpuvm after the reset, status 143" test "$guest_status" = 143
expect "which was verified" logged "Reset at reboot: $SOCKET: hot reset, verified"
expect_not "no guest had it since, and it was not reset again" logged "Reset at stop"
expect "the guest did not come back" test "$(grep -ac '^GUEST-REBOOTS' "$CONSOLE")" = 1
stop_server

# 7. NVLink2 memory: a device-specific region as the guest's memory.
make_guest nvlink "
where=\$(sed -n 's/^ *\([0-9a-f]*\)-.*Soft Reserved/\1/p' /proc/iomem)
echo \"NVLINK \$(sed -n 's/^ *\([0-9a-f]*-[0-9a-f]*\) : Soft Reserved/\1/p' /proc/iomem) possible \$(cat /sys/devices/system/node/possible)\"
devmem \$((0x\$where + 0x5000)) 64 0x6b6e696c766e" <<END
[[pci]]
socket = "$SOCKET"
coherent_memory = { region = "nvlink2-ram" }
END
start_server --nvlink 256M --nvlink-file "$WORK/nvlink"
run_guest nvlink
stop_server
expect "NVLink2 memory: status 0" test "$guest_status" = 0
expect "the guest has 256 MiB of soft reserved memory on a node of their own" guest_said '^NVLINK [0-9a-f]*0000000-[0-9a-f]*fffffff possible 0-1'
expect "what it writes there is in the server's file" test "$(tail -c +$((0x5001)) "$WORK/nvlink" | head -c 6)" = nvlink
start_server
run_guest nvlink
stop_server
expect "a server without that region: status 78" test "$guest_status" = 78
expect "the message says what it has" logged 'names a region that the device does not have; it has none'
expect "nothing is left" state_is "$before"
finish
