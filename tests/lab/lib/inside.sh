# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the lab tests share inside the lab host: start a guest with gpuvm, follow its console, check things. Sourced.

set -euo pipefail
# shellcheck source=SCRIPTDIR/../../../scripts/lib/is-running.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib/is-running.sh"
GPUVM=$LAB_GPUVM
WORK=$(mktemp -d)
# Consoles are written byte by byte, for which the shared $LAB_OUT is slow: they get there at the end.
trap 'cp -f "$WORK"/*.{console,log,events,toml,inspect.json} "$LAB_OUT" 2>/dev/null || true' EXIT
declare -i checks=0 failed_checks=0
# A pipe that nothing comes from.
exec {nothing}<> <(:)

# expect DESCRIPTION COMMAND…: one check; a failure is shown and makes finish() fail.
expect() {
  local what=$1
  shift
  checks+=1
  if "$@" >"$WORK/expect" 2>&1; then
    printf 'ok: %s\n' "$what"
  else
    failed_checks+=1
    printf 'NOT OK: %s (%s)\n' "$what" "$*"
    tail -n 5 "$WORK/expect"
  fi
}

# As expect, for a command that must fail.
expect_not() {
  local what=$1
  shift
  expect "$what" not "$@"
}
not() { ! "$@"; }

finish() {
  printf '%d checks, %d failed\n' "$checks" "$failed_checks"
  ((checks > 0 && failed_checks == 0))
}

# make_guest NAME SCRIPT <config: writes $WORK/NAME.toml from standard input, behind the kernel, an initrd that runs SCRIPT
# (shell text after tests/lab/guest/functions.sh), and a quiet command line. What lies in $WORK/initrd-NAME goes along.
# GUEST_KERNEL, GUEST_INITRD ($LAB_PLAIN_INITRD has no modules, which is faster) and GUEST_CMDLINE change the rest.
make_guest() {
  local name=$1 script=$2 root=$WORK/initrd-$1
  mkdir -p "$root"
  { cat tests/lab/guest/functions.sh; printf '%s\n' "$script"; } >"$root/run.sh"
  # The kernel unpacks archives one after the other; only compressed ones may start at any byte.
  { cat "${GUEST_INITRD:-$LAB_GUEST_INITRD}"; (cd "$root" && find . -type f | cpio -o -H newc --quiet | gzip -1); } >"$WORK/$name.initrd"
  {
    printf 'name = "%s"\n[boot]\nkernel = "%s"\ninitrd = "%s"\n' "$name" "${GUEST_KERNEL:-$LAB_GUEST_KERNEL}" "$WORK/$name.initrd"
    # Without the watchdogs for lockups and stalls, which under emulation on a busy machine complain of the lab's own pauses; a
    # guest that really hangs fails by the test's time limits.
    printf 'cmdline = "console=ttyS0 quiet panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 %s"\n' "${GUEST_CMDLINE:-}"
    printf '[cpu]\nhide = ["xsave"]\n'
    cat
  } >"$WORK/$name.toml"
}

# add_program NAME PROGRAM…: programs of this machine, with their libraries, for the guest NAME; before make_guest.
add_program() {
  local root=$WORK/initrd-$1 file program
  shift
  mkdir -p "$root/bin"
  for program in "$@"; do
    cp -L "$(command -v "$program")" "$root/bin/"
    for file in $(ldd "$root/bin/$program" | grep -o '/[^ ]*'); do
      cp -L --parents "$file" "$root"
    done
  done
}

# start_guest NAME [OPTION…]: gpuvm run in the background; console in $CONSOLE, log in $LOG (both in $LAB_OUT at the end), input
# through descriptor 7, process in $guest.
start_guest() {
  local name=$1
  shift
  CONSOLE=$WORK/$name.console
  LOG=$WORK/$name.log
  rm -f "$WORK/input"
  mkfifo "$WORK/input"
  exec 7<>"$WORK/input"
  : >"$CONSOLE"
  started=$EPOCHREALTIME
  "$GPUVM" run "$WORK/$name.toml" --inspect-file "$WORK/$name.inspect.json" "$@" <"$WORK/input" >"$CONSOLE" 2>"$LOG" 7>&- &
  guest=$!
}

# refuses_to_run NAME WHAT TEXT OPTION…: the guest NAME, changed by the options, must not start: status 78, and TEXT in the
# message. WHAT is wrong with it is for the check's name.
refuses_to_run() {
  local name=$1 what=$2 text=$3 status=0
  shift 3
  "$GPUVM" run -q "$WORK/$name.toml" "$@" 2>"$WORK/refused" </dev/null || status=$?
  cat "$WORK/refused"
  expect "$what: status 78" test "$status" = 78
  expect "$what: the reason" grep -q "$text" "$WORK/refused"
}

# Every program that a waiting test starts takes time from the guest: these start none.
pause() { read -r -t "$1" <&"$nothing" || true; }

# await_change FILE: until FILE is newer than $WORK/looked, the guest has ended, or a second is over.
await_change() {
  local tries
  for ((tries = 0; tries < 20; tries++)); do
    [[ ! $1 -nt $WORK/looked ]] && is_running "$guest" || return 0
    pause 0.05
  done
}

said_times() { (($(grep -ac -- "$1" "$CONSOLE") >= $2)); }

# has_printed: asked when a time limit is over; whether the guest has printed anything since the last time, or the wait's begin.
# One that has is at work on a slow machine, and gets as long again; the limit of the whole lab is for one that goes on for ever.
has_printed() {
  local size
  size=$(stat -c %s "$CONSOLE")
  ((size != console_size)) || return 1
  console_size=$size
}
console_size=0

# gpuvm_children PID: processes of the same name that it has made; into `children`. Starts no program.
gpuvm_children() {
  local child name own
  local -a all=()
  children=()
  { read -r own <"/proc/$1/comm"; } 2>/dev/null || return 0
  { read -r -a all <"/proc/$1/task/$1/children"; } 2>/dev/null || true
  for child in "${all[@]}"; do
    { read -r name <"/proc/$child/comm"; } 2>/dev/null || continue
    [[ $name != "$own" ]] || children+=("$child")
  done
}

# monitor_of PID: of a gpuvm whose guest is built, the process that has the guest: a child where PID is an owner's process ([sandbox]
# owner; what root starts with a card is one), else PID itself. (A child that writes to sysfs has one thread.)
monitor_of() {
  local child
  local -a children its_tasks
  gpuvm_children "$1"
  for child in "${children[@]}"; do
    its_tasks=("/proc/$child/task"/*)
    if ((${#its_tasks[@]} > 2)); then
      echo "$child"
      return
    fi
  done
  echo "$1"
}
has_owner() { [[ $(monitor_of "$1") != "$1" ]]; }

# kill_gpuvm PID [SIGNAL]: kills the process that was started, which takes its monitor with it, if it has one; what that had is free, and
# marks are as they will be, when it is gone, a moment later.
kill_gpuvm() {
  local child tries=0
  local -a children
  gpuvm_children "$1"
  kill "-${2:-KILL}" "$1" || return
  for child in "${children[@]}"; do
    while is_running "$child" && ((tries++ < 400)); do pause 0.05; done
  done
}

# wait_console TEXT SECONDS [TIMES]: until the guest has printed TEXT in so many lines; fails when the guest ends first or
# has been silent for so long.
wait_console() {
  local end=$((SECONDS + $2)) times=${3:-1}
  console_size=$(stat -c %s "$CONSOLE")
  while : >"$WORK/looked" && ! said_times "$1" "$times"; do
    if ! is_running "$guest"; then
      said_times "$1" "$times" && return 0
      printf 'the guest ended before it printed %s\n' "$1"
      tail -n 20 "$LOG" "$CONSOLE"
      return 1
    fi
    if ((SECONDS >= end)) && has_printed; then
      end=$((SECONDS + $2))
    elif ((SECONDS >= end)); then
      printf 'no %s within %s s\n' "$1" "$2"
      tail -n 20 "$LOG" "$CONSOLE"
      return 1
    fi
    await_change "$CONSOLE"
  done
}

# Waits for gpuvm's end, unless its guest is silent for SECONDS; its exit status in $guest_status, 124 for one that had to be
# killed.
wait_guest() {
  local limit=${1:-120}
  local end=$((SECONDS + limit))
  console_size=$(stat -c %s "$CONSOLE")
  guest_status=0
  while is_running "$guest"; do
    if ((SECONDS >= end)) && has_printed; then
      end=$((SECONDS + limit))
    elif ((SECONDS >= end)); then
      kill_gpuvm "$guest" || true
      wait "$guest" || true
      guest_status=124
      return 0
    fi
    pause 0.05
  done
  wait "$guest" || guest_status=$?
}

logged() { grep -q -- "$1" "$LOG"; }

# wait_log TEXT SECONDS: until gpuvm has said it; fails when gpuvm ends first or the time is up.
wait_log() {
  local end=$((SECONDS + $2))
  until : >"$WORK/looked" && logged "$1"; do
    if ((SECONDS >= end)) || ! is_running "$guest"; then
      logged "$1" && return 0
      printf 'gpuvm has not said: %s\n' "$1"
      tail -n 20 "$LOG"
      return 1
    fi
    await_change "$LOG"
  done
}

# Ends a guest that nothing in it ends: the first signal presses its power button, the second is for gpuvm.
end_guest() {
  kill "$guest"
  wait_log 'Power button pressed' 60
  kill "$guest"
  wait_guest 60
}

# run_guest NAME [OPTION…]: start to end.
run_guest() {
  start_guest "$@"
  wait_guest 180
}

# One line for the running guest's console.
type_line() { printf '%s\n' "$1" >&7; }

# Without a match, the lines that begin with the pattern's first word are shown.
guest_said() {
  local start=${1#^}
  grep -aq -- "$1" "$CONSOLE" || { grep -aF -- "${start%% *}" "$CONSOLE"; false; }
}

# Of a PCI function of the lab host; "none" without one.
driver_of() {
  local driver
  driver=$(readlink "/sys/bus/pci/devices/$1/driver") || driver=none
  echo "${driver##*/}"
}

# guest_driver VENDOR:DEVICE DRIVER, after the guest's show_drivers.
guest_driver() { guest_said "^DRIVER $1 $2.\?$"; }

# All that a run must leave as it was: each function's driver and override, gpuvm's records and processes.
# (What a killed gpuvm left of its announcement, guest-*, and of its control socket is for the next one of that name to replace.)
host_state() {
  find /sys/bus/pci/devices/*/ -maxdepth 1 -name driver -printf '%p %l\n'
  grep -v '^(null)$' /sys/bus/pci/devices/*/driver_override || true
  find /run/gpuvm /dev/shm /dev/hugepages -type f ! -path "/run/gpuvm/guest-*" ! -name "*.sock.lock" 2>/dev/null || true
  pgrep -x gpuvm || true
}

# state_is BEFORE: what host_state printed then is what it prints now; shows the difference.
state_is() { diff <(printf '%s\n' "$1") <(host_state); }

# Gives the functions of the lab's gpu and usb host drivers, so that there is something to give back.
load_host_drivers() {
  modprobe -a snd_hda_intel xhci_pci bochs
  local tries=0
  until [[ $(driver_of 0000:01:00.1) == snd_hda_intel && $(driver_of 0000:02:00.0) == xhci_hcd ]]; do
    tries=$((tries + 1))
    ((tries < 100)) || { echo "the lab host's drivers do not bind"; return 1; }
    pause 0.1
  done
}

# make_tile NAME: a random tile for show_pattern in the guest NAME; before make_guest.
make_tile() {
  mkdir -p "$WORK/initrd-$1"
  head -c 50021 /dev/urandom >"$WORK/initrd-$1/tile"
}

# check_pattern NAME [DEVICE]: waits for show_pattern's end in the running guest and compares the physical screen of DEVICE (gpu),
# byte for byte; the picture and what it must show end up in $LAB_OUT/pattern.{ppm,xrgb}.
check_pattern() {
  local width height stride tries
  wait_console '^FRAME [0-9]* [0-9]* [0-9]*.$' 300 # with the line's end: it comes byte by byte
  read -r _ width height stride < <(grep -a '^FRAME ' "$CONSOLE" | tr -d '\r')
  expect "the framebuffer is ${width}x$height of 4 bytes a pixel" test "$stride" = $((width * 4))
  perl -e 'local $/; my $tile = <STDIN>; print substr($tile x (1 + $ARGV[0] / length $tile), 0, $ARGV[0])' \
    $((stride * height)) <"$WORK/initrd-$1/tile" >"$WORK/pattern.xrgb"
  cp "$WORK/pattern.xrgb" "$LAB_OUT/"
  # The guest's kernel copies the picture to the device some time after the write; a look takes seconds.
  for ((tries = 0; tries < 6; tries++)); do
    lab-screenshot pattern.ppm "${2:-gpu}"
    ! tests/lab/lib/check_screen.sh "$LAB_OUT/pattern.ppm" "$WORK/pattern.xrgb" >/dev/null 2>&1 || break
  done
  expect "the physical screen shows what the guest wrote, byte for byte" \
    tests/lab/lib/check_screen.sh "$LAB_OUT/pattern.ppm" "$WORK/pattern.xrgb"
}

# shows_the_same DEVICE: its screen is the one that check_pattern has compared. The guest's kernel copies a picture to the device some
# time after the write.
shows_the_same() {
  local end=$((SECONDS + 30))
  until lab-screenshot "$1.ppm" "$1" && cmp "$LAB_OUT/$1.ppm" "$LAB_OUT/pattern.ppm"; do
    ((SECONDS < end)) || return 1
  done
}

# Lines that a guest's kernel log must not have. ("Speculative Return Stack Overflow: WARNING" is about the lab's CPU model, whose
# microcode is old.)
DMESG_BAD='ACPI.*(Error|BIOS Error|Warning|Exception)|Firmware Bug|FW_BUG|can.t claim|can.t assign|failed to assign|no compatible bridge window|address conflict|BUG:|WARNING: CPU|Oops|Call Trace'
check_dmesg() {
  sed -n '/^DMESG-BEGIN/,/^DMESG-END/p' "$CONSOLE" | tr -d '\r' >"$WORK/dmesg"
  expect "the guest printed its kernel log" test "$(wc -l <"$WORK/dmesg")" -gt 50
  expect_not "no line in the guest's kernel log that should not be there" grep -aE "$DMESG_BAD" "$WORK/dmesg"
}
