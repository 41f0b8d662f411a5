# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Tables and verdicts of scripts/bench efi, uefi, disk, net, ci and warm. Sourced, after bench-statistics.sh; the caller sets devices, memory and
# runs.
# (SC2154: these.)

EFI_TARGET=1.15
OVMF_TARGET=5
UEFI_TARGET=0.7
LARGE_BAR_TARGET=1.10
DISK_TARGET=1
DISK_PHASES=({read,write}-{1,32})
NET_TARGET=1
CI_TARGET=0.5
WARM_TARGET=0.25
NET_PHASES=(send receive)

# verdict HOLDS TEXT
verdict() { if (($1)); then printf 'holds: %s\n' "$2"; else printf 'MISSED: %s\n' "$2"; fi; }

print_table_efi() {
  printf '\nstart through EFI, devices %s, %s of memory, median of %d runs\n' "$devices" "$memory" "$runs"
  printf '%-34s %10s %14s %12s\n' '' 'linux' 'efi-handover' 'QEMU + OVMF'
  printf '%-34s %10s %14s %12s\n' "seconds to the kernel's entry" "$(median linux-entry seconds)" "$(median efi-entry seconds)" \
    "$(median ovmf-entry seconds)"
  printf '%-34s %10s %14s %12s\n' 'seconds to init' "$(median linux-init seconds)" "$(median efi-init seconds)" -
  printf '%-34s %10s %14s %12s\n' '  the best run' "$(best linux-init seconds)" "$(best efi-init seconds)" -
  printf '%-34s %10s %14s %12s\n' 'VM exits without host interrupts' "$(median linux-init net_exits)" \
    "$(median efi-init net_exits)" -
  printf '\n'
}

# uefi_peer: the newest QEMU where it was measured.
uefi_peer() {
  local peer
  peer=$(peers_there first | tail -n 1)
  echo "${peer:-qemu}"
}

print_table_uefi() {
  local peer
  peer=$(uefi_peer)
  printf "\nOVMF to the kernel's entry, devices %s, %s of memory, median of %d runs\n" "$devices" "$memory" "$runs"
  printf '%-34s %10s %10s %8s %14s\n' '' gpuvm "$(short_title "$peer")" ratio 'with 16 GiB BAR'
  uefi_row 'seconds, fresh variables' seconds first
  uefi_row 'seconds, later' seconds later bar-later
  uefi_row 'VM exits, fresh variables' net_exits first
  uefi_row 'VM exits, later' net_exits later bar-later
  uefi_row '  of these: MMIO' mmio_exits later bar-later
  uefi_row '  of these: ports' io_exits later bar-later
  uefi_row 'seconds to init, later' seconds init
  [[ $peer == qemu ]] || peer=qemu uefi_row '  beside the older QEMU' seconds init
  printf '\n'
}

# uefi_row TITLE METRIC RUN [BAR_RUN]: beside $peer.
uefi_row() {
  local ours theirs
  ours=$(median "gpuvm-$3" "$2") theirs=$(median "$peer-$3" "$2")
  printf '%-34s %10s %10s %8s %14s\n' "$1" "$ours" "$theirs" "$(ratio "$ours" "$theirs")" "${4:+$(median "gpuvm-$4" "$2")}"
}

# The peers that disk and net were measured with.
peers_there() {
  local peer
  for peer in qemu newest; do
    [[ -z $(values "$peer-$1" seconds) ]] || printf '%s\n' "$peer"
  done
}

print_table_disk() {
  local peer
  for peer in $(peers_there read-1); do print_disk_beside "$peer"; done
}

# print_disk_beside PEER
print_disk_beside() {
  local phase peer=$1
  printf '\nrandom 4 KiB on a raw file, median of %d runs\n' "$runs"
  printf '%-34s %10s %10s %8s\n' '' gpuvm "$(short_title "$peer")" ratio
  for phase in "${DISK_PHASES[@]}"; do
    disk_row "$phase at once: requests a second" "$phase" iops
    disk_row '  VM exits for each' "$phase" exits
  done
  printf '\n'
}

# disk_row TEXT PHASE METRIC: beside $peer.
disk_row() {
  local ours theirs
  ours=$(median "gpuvm-$2" "$3") theirs=$(median "$peer-$2" "$3")
  printf '%-34s %10s %10s %8s\n' "$1" "$ours" "$theirs" "$(ratio "$ours" "$theirs")"
}

print_verdicts_disk() {
  local phase value
  for phase in "${DISK_PHASES[@]}"; do
    value=$(ratio "$(median "gpuvm-$phase" iops)" "$(median "qemu-$phase" iops)")
    verdict "$(at_most "$DISK_TARGET" "$value")" "requests a second, $phase: $value of QEMU's, target at least $DISK_TARGET"
    value=$(ratio "$(median "gpuvm-$phase" exits)" "$(median "qemu-$phase" exits)")
    verdict "$(at_most "$value" 1)" "VM exits for each request, $phase: $value of QEMU's, target at most 1"
  done
}

print_table_net() {
  local peer
  for peer in $(peers_there send); do print_net_beside "$peer"; done
}

# print_net_beside PEER
print_net_beside() {
  local phase peer=$1
  printf '\na TCP stream by a tap and vhost-net, median of %d runs\n' "$runs"
  printf '%-34s %10s %10s %8s\n' '' gpuvm "$(short_title "$peer")" ratio
  for phase in "${NET_PHASES[@]}"; do
    disk_row "$phase: MiB a second" "$phase" mib_a_second
    disk_row '  VM exits for each MiB' "$phase" exits
    disk_row "  the host's CPU for each MiB, ms" "$phase" cpu_ms
    disk_row '  MMIO exits in all' "$phase" mmio_exits
  done
  printf '\n'
}

print_verdicts_net() {
  local phase value
  for phase in "${NET_PHASES[@]}"; do
    value=$(ratio "$(median "gpuvm-$phase" mib_a_second)" "$(median "qemu-$phase" mib_a_second)")
    verdict "$(at_most "$NET_TARGET" "$value")" "MiB a second, $phase: $value of QEMU's, target at least $NET_TARGET"
    value=$(ratio "$(median "gpuvm-$phase" exits)" "$(median "qemu-$phase" exits)")
    verdict "$(at_most "$value" 1)" "VM exits for each MiB, $phase: $value of QEMU's, target at most 1"
  done
}

print_table_ci() {
  printf '\na job, devices %s, median of %d runs\n' "$devices" "$runs"
  printf '%-34s %10s %10s %8s\n' '' gpuvm 'virtme-ng' ratio
  ci_row "seconds beside the guest's own" seconds
  ci_row "the guest's own" guest
  ci_row 'in all' wall
  printf '\n'
}

# ci_row TITLE METRIC
ci_row() {
  local ours theirs
  ours=$(median gpuvm "$2") theirs=$(median virtme "$2")
  printf '%-34s %10s %10s %8s\n' "$1" "$ours" "$theirs" "$(ratio "$ours" "$theirs")"
}

print_verdicts_ci() {
  local value
  value=$(ratio "$(median gpuvm seconds)" "$(median virtme seconds)")
  verdict "$(at_most "$value" $CI_TARGET)" "time beside the guest's own: $value of virtme-ng's, target at most $CI_TARGET"
}

draw_ci() {
  local parts='' phase
  for phase in wait start guest stop; do
    [[ -z $(values gpuvm "phase_$phase") ]] || parts+="$phase=$(median gpuvm "phase_$phase") "
  done
  time_line "$picture" "gpuvm test$(printf '\t')${parts:-job=$(median gpuvm wall)}" \
    "virtme-ng$(printf '\t')guest=$(median virtme guest) beside=$(median virtme seconds)"
}

print_table_warm() {
  printf '\na job that does nothing, median of %d runs\n' "$runs"
  printf '%-40s %10s %10s %8s\n' '' 'it boots' 'it waits' ratio
  warm_row 'seconds without a card' plain wall
  warm_row 'seconds with a card' card wall
  warm_row "  of these: the card's resets" card resets
  warm_row '  without them' card seconds
  printf '%-40s %10s %10s\n\n' 'from the plug to its announcement, ms' '' "$(median warm-card plug_ms)"
}

# warm_row TITLE plain|card METRIC
warm_row() {
  local cold warm
  cold=$(median "cold-$2" "$3") warm=$(median "warm-$2" "$3")
  printf '%-40s %10s %10s %8s\n' "$1" "$cold" "$warm" "$(ratio "$warm" "$cold")"
}

print_verdicts_warm() {
  local what value
  for what in plain card; do
    value=$(pair_ratios "warm-$what" "cold-$what" seconds | middle)
    [[ -n $(pair_ratios "warm-$what" "cold-$what" seconds) ]] || value=-
    verdict "$(at_most "$value" $WARM_TARGET)" "a job in a guest that waits ($what), less resets: $value of one that boots, target at most $WARM_TARGET"
  done
}

print_verdicts_uefi() {
  local run value peer
  peer=$(uefi_peer)
  for run in first later; do
    value=$(ratio "$(median "gpuvm-$run" seconds)" "$(median "$peer-$run" seconds)")
    verdict "$(at_most "$value" $UEFI_TARGET)" \
      "time before the kernel, $run: $value of $(short_title "$peer")'s, target at most $UEFI_TARGET"
  done
  value=$(ratio "$(median gpuvm-bar-later seconds)" "$(median gpuvm-later seconds)")
  verdict "$(at_most "$value" $LARGE_BAR_TARGET)" \
    "time before the kernel with a 16 GiB BAR: $value of that without, target at most $LARGE_BAR_TARGET"
}

print_verdicts_efi() {
  local init entry
  init=$(ratio "$(median efi-init seconds)" "$(median linux-init seconds)")
  entry=$(ratio "$(median ovmf-entry seconds)" "$(median efi-entry seconds)")
  verdict "$(awk -v a="$init" -v b="$EFI_TARGET" 'BEGIN { print (a != "-" && a <= b) }')" \
    "time to init: efi-handover takes $init of linux, target at most $EFI_TARGET"
  verdict "$(awk -v a="$entry" -v b="$OVMF_TARGET" 'BEGIN { print (a != "-" && a >= b) }')" \
    "time before the kernel: OVMF takes $entry times as long as efi-handover, target at least $OVMF_TARGET"
}
