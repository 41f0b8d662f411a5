#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The peer to measure against: starts QEMU q35 (SeaBIOS, 1 CPU, 1 GiB) with passed-through functions, and prints how long the
# guest took to its init and how many VM exits that cost. Runs in the lab host (scripts/lab), as root.
set -euo pipefail

. "$(dirname "$0")/is-running.sh"
. "$(dirname "$0")/read-line.sh"

KVM_STATS=${LAB_BENCH_KVM_STATS:-/sys/kernel/debug/kvm}
PEER_COUNTERS=(exits irq_exits io_exits mmio_exits halt_exits insn_emulation)

usage() {
  cat <<'END'
Usage: scripts/lab -- scripts/lib/peer-qemu.sh --kernel FILE --initrd FILE [OPTION]… [BDF]…

Starts a QEMU q35 guest (SeaBIOS, or --firmware) with the functions BDF (such as 0000:01:00.0) passed through, and prints, as lines NAME=VALUE:
seconds (start of QEMU to GUEST-INIT-REACHED), exits, irq_exits, net_exits (exits without irq_exits, the figure that
repeats), io_exits, mmio_exits and more, all counted until the guest's init.

Options:
  --append WORDS   more words for the guest's kernel command line
  --memory SIZE    default 1G
  --cpus N         default 1
  --console FILE   where the guest's console output goes; default a temporary file
  --timeout S      time for the guest to reach its init; default 120
  --firmware FILE  in place of SeaBIOS, for instance /usr/share/ovmf/OVMF.fd
  --vars FILE      with that a flash chip for the variables, and --firmware the chip before it (OVMF_CODE_4M.fd)
  --program FILE   in place of qemu-system-x86_64
  --until TEXT     what the guest prints at the moment that is measured; default GUEST-INIT-REACHED
  --wait           do not stop at init: let the guest run to its power off (600 s at most), and print guest_exit
END
}

die() {
  printf 'peer-qemu: %s\n' "$1" >&2
  exit 1
}

parse_options() {
  kernel='' initrd='' append='' memory=1G cpus=1 console='' timeout=120 run_to_end=0 firmware='' vars='' until=GUEST-INIT-REACHED program=qemu-system-x86_64 functions=()
  while (($#)); do
    case $1 in
      --help) usage && exit 0 ;;
      --wait) run_to_end=1 && shift && continue ;;
      --*) (($# >= 2)) || die "$1 needs a value" ;;
      *) functions+=("$1") && shift && continue ;;
    esac
    case $1 in
      --kernel) kernel=$2 ;;
      --initrd) initrd=$2 ;;
      --append) append=$2 ;;
      --memory) memory=$2 ;;
      --cpus) cpus=$2 ;;
      --console) console=$2 ;;
      --timeout) timeout=$2 ;;
      --firmware) firmware=$2 ;;
      --vars) vars=$2 ;;
      --program) program=$2 ;;
      --until) until=$2 ;;
      *) die "unknown option $1; see --help" ;;
    esac
    shift 2
  done
  [[ -r $kernel && -r $initrd ]] || die "--kernel and --initrd are needed; see --help"
  [[ -d $KVM_STATS ]] || die "no $KVM_STATS: run this in scripts/lab"
  console=${console:-$(mktemp)}
}

# Functions of one slot must lie in one slot of the guest too: a shared reset needs both of them in this process.
passthrough_args() {
  local bdf slot=16 last=''
  PASSED=()
  for bdf in "${functions[@]}"; do
    if [[ ${bdf%.*} != "$last" ]]; then
      slot=$((slot + 1))
      last=${bdf%.*}
    fi
    PASSED+=(-device "vfio-pci,host=$bdf,addr=$(printf '0x%x' $slot).${bdf##*.},multifunction=on")
  done
}

read_counters() {
  local name
  for name in "${PEER_COUNTERS[@]}"; do
    printf -v "$1_$name" '%s' "$(<"$KVM_STATS/$name")"
  done
}

start_qemu() {
  local bios=()
  [[ -z $firmware ]] || bios=(-bios "$firmware")
  [[ -z $vars ]] || bios=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=$firmware" -drive "if=pflash,unit=1,format=raw,file=$vars")
  started=$EPOCHREALTIME
  # No XSAVE: the leaf that TCG's lab host reports is inconsistent.
  "$program" -M q35 -accel kvm -cpu host,-xsave -smp "$cpus" -m "$memory" -nodefaults -no-user-config -display none \
    -no-reboot "${bios[@]}" -chardev "pipe,id=console,path=$pipes/console" -serial chardev:console -kernel "$kernel" -initrd "$initrd" \
    -append "console=ttyS0 quiet panic=-1 $append" "${PASSED[@]}" </dev/null >"$console.qemu" 2>&1 &
  qemu=$!
}

stop_qemu() {
  if [[ -n $qemu ]]; then
    kill -KILL "$qemu" 2>/dev/null || true
    wait "$qemu" 2>/dev/null || true
  fi
}

# wait_for TEXT SECONDS: copies the guest's console lines to the file until one has TEXT. It sleeps in read meanwhile: looking
# again and again would take time from the guest, with which it shares one emulated CPU.
wait_for() {
  local line end=$((SECONDS + $2))
  while ((SECONDS < end)); do
    if ! read_line "$lines" 5; then
      is_running "$qemu" || return 1
      continue
    fi
    [[ $line == *"$1"* ]] && reached=$EPOCHREALTIME
    printf '%s\n' "${line%$'\r'}" >>"$console"
    [[ $line != *"$1"* ]] || return 0
  done
  return 1
}

print_results() {
  local name before after net
  awk -v a="$started" -v b="$reached" 'BEGIN { printf "seconds=%.2f\n", b - a }'
  for name in "${PEER_COUNTERS[@]}"; do
    before=before_$name after=after_$name
    printf '%s=%d\n' "$name" $((${!after} - ${!before}))
    [[ $name != exits ]] || net=$((${!after} - ${!before}))
    [[ $name != irq_exits ]] || net=$((net - ${!after} + ${!before}))
  done
  printf 'net_exits=%d\n' "$net"
}

parse_options "$@"
passthrough_args
((${#functions[@]} == 0)) || lab-bind "${functions[@]}"
qemu=''
pipes=$(mktemp -d)
trap 'stop_qemu; rm -rf "$pipes"' EXIT
mkfifo "$pipes"/console.{in,out}
exec {lines}<>"$pipes/console.out"
: >"$console"
read_counters before
start_qemu
if ! wait_for "$until" "$timeout"; then
  tail -n 20 "$console.qemu" "$console" >&2
  die "the guest did not print $until in $timeout s"
fi
read_counters after
print_results
if ((run_to_end)); then
  wait_for GUEST-EXIT= 600 || die "the guest did not end its command"
  grep -ao 'GUEST-EXIT=[0-9]*' "$console" | sed 's/GUEST-EXIT/guest_exit/'
fi
