# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The monitors that scripts/bench compares, each started with the same kernel, initrd, command line, memory and functions; their
# guests' consoles and counters. Sourced in the lab host by bench-*.sh, after bench-measure.sh, read-line.sh and is-running.sh.
#
# A monitor is gpuvm, qemu (the one on PATH, q35 with SeaBIOS), newest (q35 of LAB_BENCH_QEMU), microvm (QEMU's, of the one on PATH),
# kvmtool, cloud-hypervisor or firecracker. What it starts is in these variables; `use_guest` sets their defaults:
#   guest_kernel guest_initrd guest_cmdline guest_memory (MiB) guest_cpus guest_functions (array of BDFs) guest_reboots (1: a guest that
#   reboots starts again), guest_gpuvm (the program), guest_keys (array: lines of gpuvm's [machine]),
#   guest_options (array: of `gpuvm run`), guest_name
# launcher is an array of words before the monitor's: env, or strace with its options, whose child the monitor is.

KVM_STATS=${LAB_BENCH_KVM_STATS:-/sys/kernel/debug/kvm}
# All that KVM of Linux 6.12 counts of exits, and the events that explain them.
COUNTERS=(exits irq_exits io_exits mmio_exits halt_exits insn_emulation signal_exits request_irq_exits irq_window_exits
  nmi_window_exits hypercalls irq_injections pf_taken host_state_reload)
launcher=()

# use_guest KERNEL INITRD MEMORY_MIB [BDF…]
use_guest() {
  guest_kernel=$1 guest_initrd=$2 guest_memory=$3
  guest_cmdline='console=ttyS0 quiet panic=-1' guest_cpus=1 guest_reboots=0 guest_keys=() guest_options=()
  guest_name=bench
  shift 3
  guest_functions=("$@")
}

# mebibytes SIZE: 4G or 4GiB -> 4096, 512M -> 512
mebibytes() {
  case $1 in
    *G | *GiB) echo $((${1%%G*} * 1024)) ;;
    *) echo "${1%%M*}" ;;
  esac
}

kvmtool_program() { command -v lkvm || command -v kvmtool; }

# why_not MONITOR: why this host cannot start it with $guest_functions; nothing where it can.
why_not() {
  case $1 in
    gpuvm | qemu) ;;
    newest) [[ -x ${LAB_BENCH_QEMU:-} ]] || echo 'no newer QEMU was to be had' ;;
    kvmtool) kvmtool_program >/dev/null || echo 'it is not on PATH' ;;
    microvm | firecracker | cloud-hypervisor)
      [[ $1 == microvm ]] || command -v "$1" >/dev/null || { echo 'it is not on PATH' && return; }
      [[ $1 == cloud-hypervisor ]] || ((${#guest_functions[@]} == 0)) || echo 'it takes no functions of the host'
      ;;
    *) echo 'there is no such monitor' ;;
  esac
}

# Sets `wanted`, the monitors of LAB_BENCH_PEERS that can start this guest, gpuvm first; says which cannot.
choose_monitors() {
  local peer reason
  wanted=(gpuvm)
  for peer in ${LAB_BENCH_PEERS:-qemu}; do
    [[ $peer != none ]] || continue
    reason=$(why_not "$peer")
    if [[ -z $reason ]]; then wanted+=("$peer"); else printf '  %s is left out: %s\n' "$peer" "$reason"; fi
  done
}

# set_order RUN: `order` is `wanted`, and the other way round in every other run: each goes first in turn.
set_order() {
  local monitor
  order=()
  for monitor in "${wanted[@]}"; do
    if (($1 % 2)); then order+=("$monitor"); else order=("$monitor" "${order[@]}"); fi
  done
}

# The functions are bound to vfio-pci beforehand, for all monitors. No XSAVE: the leaf that TCG's lab host reports is inconsistent.
write_gpuvm_config() {
  local bdf last=''
  printf 'name = "%s"\n[machine]\ncpus = %d\nmemory = "%dMiB"\nreboot_backoff = "off"\n' "$guest_name" "$guest_cpus" "$guest_memory"
  ((guest_reboots)) || printf 'on_reboot = "exit"\n'
  ((${#guest_keys[@]} == 0)) || printf '%s\n' "${guest_keys[@]}"
  printf '[cpu]\nhide = ["xsave"]\n[boot]\nkernel = "%s"\ninitrd = "%s"\ncmdline = "%s"\n' "$guest_kernel" "$guest_initrd" "$guest_cmdline"
  for bdf in "${guest_functions[@]}"; do
    # One section takes all functions of its slot.
    [[ ${bdf%.*} == "$last" ]] || printf '[[pci]]\nhost = "%s"\nmanaged = false\n' "$bdf"
    last=${bdf%.*}
  done
}

# set_qemu_program MONITOR: `command` begins with the program. The one of LAB_BENCH_QEMU is a script that starts QEMU by its own
# loader, which costs processes: here is what it starts.
set_qemu_program() {
  local usr
  command=(qemu-system-x86_64)
  [[ $1 == newest ]] || return 0
  usr=$(dirname "$(readlink -f "$LAB_BENCH_QEMU")")/usr
  command=("$LAB_BENCH_QEMU")
  [[ -x $usr/bin/qemu-system-x86_64 ]] || return 0
  command=(env "QEMU_MODULE_DIR=$usr/lib/x86_64-linux-gnu/qemu" "$usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    --library-path "$usr/lib/x86_64-linux-gnu" "$usr/bin/qemu-system-x86_64" -L "$usr/share/qemu" -L "$usr/share/seabios")
}

# Functions of one slot must lie in one slot of the guest too: a shared reset needs both of them in this process.
add_qemu_functions() {
  local bdf slot=16 last=''
  for bdf in "${guest_functions[@]}"; do
    [[ ${bdf%.*} == "$last" ]] || slot=$((slot + 1))
    last=${bdf%.*}
    command+=(-device "vfio-pci,host=$bdf,addr=$(printf '0x%x' $slot).${bdf##*.},multifunction=on")
  done
}

set_qemu_command() {
  set_qemu_program "$1"
  if [[ $1 == microvm ]]; then command+=(-M microvm); else command+=(-M q35); fi
  ((guest_reboots)) || command+=(-no-reboot)
  command+=(-name "bench,debug-threads=on" -accel kvm -cpu "host,-xsave" -smp "$guest_cpus" -m "${guest_memory}M" -nodefaults
    -no-user-config -display none -serial stdio -kernel "$guest_kernel" -initrd "$guest_initrd" -append "$guest_cmdline")
  add_qemu_functions
}

set_kvmtool_command() {
  local bdf
  command=("$(kvmtool_program)" run --kernel "$guest_kernel" --initrd "$guest_initrd" --mem "$guest_memory" --cpus "$guest_cpus"
    --console serial --network mode=none --params "$guest_cmdline")
  for bdf in "${guest_functions[@]}"; do command+=(--vfio-pci "$bdf"); done
}

set_cloud_hypervisor_command() {
  local bdf
  command=(cloud-hypervisor --kernel "$guest_kernel" --initramfs "$guest_initrd" --cmdline "$guest_cmdline" --cpus "boot=$guest_cpus"
    --memory "size=${guest_memory}M" --serial tty --console off)
  ((${#guest_functions[@]} == 0)) || command+=(--device)
  for bdf in "${guest_functions[@]}"; do command+=("path=/sys/bus/pci/devices/$bdf/"); done
}

# Firecracker takes the kernel unpacked, which lies beside the packed one (scripts/lib/lab-kernels.sh).
set_firecracker_command() {
  local kernel=${guest_kernel%/*}/vmlinux
  printf '{"boot-source":{"kernel_image_path":"%s","initrd_path":"%s","boot_args":"%s reboot=k"},"drives":[],
    "machine-config":{"vcpu_count":%d,"mem_size_mib":%d}}\n' "$kernel" "$guest_initrd" "$guest_cmdline" "$guest_cpus" "$guest_memory" \
    >"$1/firecracker.json"
  command=(firecracker --no-api --config-file "$1/firecracker.json")
}

# set_command MONITOR FOLDER: the array `command`, and files that it needs in FOLDER.
set_command() {
  case $1 in
    gpuvm)
      write_gpuvm_config >"$2/guest.toml"
      # shellcheck disable=SC2154 # the caller sets it
      command=("$guest_gpuvm" run -q "${guest_options[@]}" "$2/guest.toml")
      ;;
    qemu | newest | microvm) set_qemu_command "$1" ;;
    kvmtool) set_kvmtool_command ;;
    cloud-hypervisor) set_cloud_hypervisor_command ;;
    firecracker) set_firecracker_command "$2" ;;
  esac
}

# prepare_place FOLDER: pipes for one guest's console, open at both ends, so that nobody waits for the other: `lines` and `input`.
prepare_place() {
  mkdir -p "$1"
  rm -f "$1"/{in,out}
  mkfifo "$1"/{in,out}
  exec {lines}<>"$1/out" {input}<>"$1/in"
  line_begun=''
  : >"$1/console"
}

leave_place() { exec {lines}>&- {input}>&-; }

# start_monitor MONITOR FOLDER: in the background; its process is `guest`, its start `started`.
start_monitor() {
  set_command "$1" "$2"
  [[ $1 != kvmtool ]] || export HOME=$2
  started=$EPOCHREALTIME
  "${launcher[@]}" "${command[@]}" <"$2/in" >"$2/out" 2>"$2/log" &
  guest=$!
}

# The monitor itself, where `launcher` started it.
monitor_process() {
  local child=$guest
  [[ ${launcher[0]:-} != strace ]] || read -r child _ <"/proc/$guest/task/$guest/children" || true
  echo "${child:-$guest}"
}

# The monitor is killed, and all that is below it (end_processes).
stop_monitor() {
  [[ -n ${guest:-} ]] || return 0
  end_processes "$(monitor_process)"
  wait "$guest" 2>/dev/null || true
  guest=''
}

# wait_line TEXT SECONDS FOLDER: the console's next line with TEXT, and its moment in `reached`. It sleeps in read, because looking
# again and again would take time from the guest, with which it shares one emulated CPU.
wait_line() {
  local end=$((SECONDS + $2))
  while ((SECONDS < end)); do
    if ! read_line "$lines" 5; then
      is_running "$guest" || return 1
      continue
    fi
    if [[ $line == *"$1"* ]]; then
      reached=$EPOCHREALTIME
      line=${line%$'\r'}
      printf '%s\n' "$line" >>"$3/console"
      return 0
    fi
    printf '%s\n' "${line%$'\r'}" >>"$3/console"
  done
  return 1
}

# read_counters PREFIX: into variables PREFIX_NAME.
read_counters() {
  local name value
  for name in "${COUNTERS[@]}"; do
    { read -r value <"$KVM_STATS/$name"; } 2>/dev/null || value=0
    printf -v "$1_$name" '%s' "$value"
  done
}

# print_counters BEFORE AFTER: the differences of two prefixes as lines METRIC=VALUE; net_exits is exits without those for the host's
# interrupts, the figure that repeats.
print_counters() {
  local name first second net=0
  for name in "${COUNTERS[@]}"; do
    first=$1_$name second=$2_$name
    printf '%s=%d\n' "$name" $((${!second} - ${!first}))
    [[ $name != exits ]] || net=$((net + ${!second} - ${!first}))
    [[ $name != irq_exits ]] || net=$((net - ${!second} + ${!first}))
  done
  printf 'net_exits=%d\n' "$net"
}

# host_cpu PROCESS…: what they took of the host's processors in all, in ms, less what their vCPUs ran of the guest; vhost's threads are
# among a process' own (Linux 6.4 and later). proc(5): utime has guest_time in it; x86 counts hundredths of a second.
host_cpu() {
  local process stat sum=0
  local -a field
  for process in "$@"; do
    { read -r stat <"/proc/$process/stat"; } 2>/dev/null || continue
    read -r -a field <<<"${stat##*) }" # from the third on
    sum=$((sum + (field[11] + field[12] - field[40]) * 10))
  done
  echo "$sum"
}

print_seconds() { awk -v a="$1" -v b="$2" -v name="${3:-seconds}" 'BEGIN { printf "%s=%.3f\n", name, b - a }'; }

# fail_run FOLDER WHAT: ends the guest and shows its last words.
fail_run() {
  stop_monitor
  leave_place
  { printf '%s\n' "$2"; tail -n 5 "$1/log" "$1/console" || true; } >&2
}

# measure_start MONITOR TEXT FOLDER [FUNCTION]: a start until the guest prints TEXT, as lines METRIC=VALUE, and then those of FUNCTION,
# whose failure is the run's. The guest is killed.
measure_start() {
  local status=0
  ((${#guest_functions[@]} == 0)) || lab-bind "${guest_functions[@]}"
  prepare_place "$3"
  read_counters before
  start_monitor "$1" "$3"
  wait_line "$2" 300 "$3" || { fail_run "$3" "$1: the guest did not print $2"; return 1; }
  read_counters after
  print_seconds "$started" "$reached"
  print_counters before after
  [[ -z ${4:-} ]] || "$4" || status=1
  stop_monitor
  leave_place
  return $status
}

# measure_phases TEXT FOLDER [FUNCTION]: as measure_start gpuvm, and what its events tell of the time (gpuvm(1), --events).
measure_phases() {
  local status=0
  mkdir -p "$2"
  rm -f "$2/events"
  guest_options=(--events "$2/events")
  measure_start gpuvm "$1" "$2" "${3:-}" || status=1
  guest_options=()
  ((status)) || event_times "$2/events" "$started"
  return $status
}

# event_times FILE STARTED: reset_ms (how long the first reset took), ready (from STARTED to the guest's first instruction).
event_times() {
  local moment
  sed -nE '/"event":"reset"/s/.*"duration_ms":([0-9]+).*/reset_ms=\1/p' "$1" | head -n 1
  moment=$(sed -nE '/"to":"running"/s/.*"time":"([^"]*)".*/\1/p' "$1" | head -n 1)
  [[ -z $moment ]] || print_seconds "$2" "$(date -u -d "$moment" +%s.%N)" ready
}
