#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm's side of scripts/bench: starts a guest with passed-through functions, and prints how long it took to its init and
# how many VM exits that cost, counted as peer-qemu.sh counts them for QEMU. Runs in the lab host (scripts/lab), as root.
set -euo pipefail

. "$(dirname "$0")/is-running.sh"
. "$(dirname "$0")/read-line.sh"

KVM_STATS=${LAB_BENCH_KVM_STATS:-/sys/kernel/debug/kvm}
COUNTERS=(exits irq_exits io_exits mmio_exits halt_exits insn_emulation)

usage() {
  cat <<'END'
Usage: scripts/lab -- scripts/lib/measure-gpuvm.sh --gpuvm FILE --kernel FILE --initrd FILE [OPTION]… [BDF]…

Prints lines NAME=VALUE: seconds (start of gpuvm to GUEST-INIT-REACHED), exits, irq_exits, net_exits (exits without
irq_exits, the figure that repeats), io_exits, mmio_exits and more, all counted until the guest's init.

Options: --append WORDS, --memory SIZE (1GiB), --cpus N (1), --console FILE, --timeout S (120), --mode MODE (linux; boot.mode),
--firmware FILE and --vars FILE (of mode uefi), --until TEXT (GUEST-INIT-REACHED; what the guest prints at the moment that is
measured)
END
}

die() {
  printf 'measure-gpuvm: %s\n' "$1" >&2
  exit 1
}

parse_options() {
  gpuvm='' kernel='' initrd='' append='' memory=1GiB cpus=1 console='' timeout=120 mode=linux firmware='' vars='' until=GUEST-INIT-REACHED functions=()
  while (($#)); do
    case $1 in
      --help) usage && exit 0 ;;
      --*) (($# >= 2)) || die "$1 needs a value" ;;
      *) functions+=("$1") && shift && continue ;;
    esac
    case $1 in
      --gpuvm) gpuvm=$2 ;;
      --kernel) kernel=$2 ;;
      --initrd) initrd=$2 ;;
      --append) append=$2 ;;
      --memory) memory=$2 ;;
      --cpus) cpus=$2 ;;
      --console) console=$2 ;;
      --timeout) timeout=$2 ;;
      --mode) mode=$2 ;;
      --firmware) firmware=$2 ;;
      --vars) vars=$2 ;;
      --until) until=$2 ;;
      *) die "unknown option $1; see --help" ;;
    esac
    shift 2
  done
  [[ -x $gpuvm && -r $kernel && -r $initrd ]] || die "--gpuvm, --kernel and --initrd are needed; see --help"
  [[ -d $KVM_STATS ]] || die "no $KVM_STATS: run this in scripts/lab"
}

# managed = false: the functions are bound to vfio-pci beforehand, as for QEMU. No XSAVE, as for QEMU.
write_config() {
  local bdf last=''
  printf 'name = "bench"\n[machine]\ncpus = %d\nmemory = "%s"\n[cpu]\nhide = ["xsave"]\n' "$cpus" "$memory"
  printf '[boot]\nmode = "%s"\nkernel = "%s"\ninitrd = "%s"\ncmdline = "console=ttyS0 quiet panic=-1 %s"\n' "$mode" "$kernel" "$initrd" "$append"
  [[ -z $firmware ]] || printf 'firmware = "%s"\nvars = "%s"\n' "$firmware" "$vars"
  for bdf in "${functions[@]}"; do
    # One section takes all functions of its slot.
    [[ ${bdf%.*} == "$last" ]] || printf '[[pci]]\nhost = "%s"\nmanaged = false\n' "$bdf"
    last=${bdf%.*}
  done
}

read_counters() {
  local name
  for name in "${COUNTERS[@]}"; do
    printf -v "$1_$name" '%s' "$(<"$KVM_STATS/$name")"
  done
}

start_guest() {
  started=$EPOCHREALTIME
  "$gpuvm" run "$work/bench.toml" <"$work/in" >"$work/out" 2>"$work/log" &
  guest=$!
}

stop_guest() {
  if [[ -n $guest ]]; then
    end_processes "$guest"
  fi
  rm -rf "$work"
}

# wait_for TEXT SECONDS: sleeps in read, because looking again and again would take time from the guest, with which it shares
# one emulated CPU.
wait_for() {
  local line end=$((SECONDS + $2))
  while ((SECONDS < end)); do
    if ! read_line "$lines" 5; then
      is_running "$guest" || return 1
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
  for name in "${COUNTERS[@]}"; do
    before=before_$name after=after_$name
    printf '%s=%d\n' "$name" $((${!after} - ${!before}))
    [[ $name != exits ]] || net=$((${!after} - ${!before}))
    [[ $name != irq_exits ]] || net=$((net - ${!after} + ${!before}))
  done
  printf 'net_exits=%d\n' "$net"
}

parse_options "$@"
((${#functions[@]} == 0)) || lab-bind "${functions[@]}"
guest=''
work=$(mktemp -d)
console=${console:-$work/console}
trap stop_guest EXIT
mkfifo "$work"/{in,out}
# The second one stays open without being read: no end of file for gpuvm.
# shellcheck disable=SC2034
exec {lines}<>"$work/out" {input}<>"$work/in"
: >"$console"
write_config >"$work/bench.toml"
read_counters before
start_guest
if ! wait_for "$until" "$timeout"; then
  tail -n 20 "$work/log" "$console" >&2
  die "the guest did not print $until in $timeout s"
fi
read_counters after
print_results
