# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Tables of scripts/bench boot, reboot, bar, memory, dma, many, footprint and sandbox: gpuvm beside its peers, each figure as its median,
# how far runs are from it (the median of that), and the ratio in pairs. Sourced, after bench-statistics.sh and bench-tables.sh; the caller
# sets devices, memory, runs, cycles, sizes, seconds.
# (SC2154: these.)

EXITS_TARGET=6500
TIME_TARGET=0.30
NET_EXITS_TARGET=0.08
ENTRY_TARGET=0.10
REBOOT_TARGET=0.35
BAR_TARGET=1.02
MANY_TARGET=1.3
PRIVATE_TARGET=4096
FIRST_RUN_TARGET=8
SANDBOX_TARGET=1.03
SANDBOX_EXITS_TARGET=1.01
ALL_PEERS=(newest qemu microvm kvmtool cloud-hypervisor firecracker)

# short_title MONITOR
short_title() {
  case $1 in
    qemu) echo 'QEMU q35' ;;
    newest) echo 'newest QEMU' ;;
    microvm) echo 'microvm' ;;
    *) echo "$1" ;;
  esac
}

# choose_shown SUFFIX: `shown` are the monitors that have results NAME+SUFFIX.
choose_shown() {
  local monitor
  shown=()
  for monitor in gpuvm "${ALL_PEERS[@]}"; do
    [[ -z $(results_in "$OUT" | grep -x -- "$monitor$1") ]] || shown+=("$monitor")
  done
}

# amount NAME METRIC: "4.96 ±0.12"; without the second where all runs are alike.
amount() {
  local center far
  center=$(median "$@") far=$(spread "$@")
  [[ -n $(values "$@") ]] || { echo - && return; }
  if [[ $far == 0 ]]; then printf '%s\n' "$center"; else printf '%s ±%s\n' "$center" "$far"; fi
}

# pad TEXT WIDTH: from the left. (printf counts bytes, and ± has two.)
pad() { printf '%*s%s' $(($2 > ${#1} ? $2 - ${#1} : 0)) '' "$1"; }

side_head() {
  local monitor line
  line=$(printf '%-36s' '')$(pad gpuvm 17)
  for monitor in "${shown[@]:1}"; do line+=$(pad "$(short_title "$monitor")" 17)$(pad ratio 19); done
  printf '%s\n' "$line"
}

# side_row TITLE METRIC [SUFFIX]
side_row() {
  local monitor line
  line=$(printf '%-36s' "$1")$(pad "$(amount "gpuvm${3:-}" "$2")" 17)
  for monitor in "${shown[@]:1}"; do
    line+=$(pad "$(amount "$monitor${3:-}" "$2")" 17)$(pad "$(pairs_text "gpuvm${3:-}" "$monitor${3:-}" "$2")" 19)
  done
  printf '%s\n' "$line"
}

# first_peer: the one that targets are about: the newest QEMU, else the one on PATH.
first_peer() { if [[ " ${shown[*]} " == *' newest '* ]]; then echo newest; else echo qemu; fi; }

# pair_verdict TARGET WHAT METRIC [SUFFIX]: of the first peer.
pair_verdict() {
  local value peer
  peer=$(first_peer)
  value=$(pair_ratios "gpuvm${4:-}" "$peer${4:-}" "$3" | middle)
  [[ -n $(pair_ratios "gpuvm${4:-}" "$peer${4:-}" "$3") ]] || value=-
  verdict "$(at_most "$value" "$1")" "$2: $value of $(short_title "$peer")'s, target at most $1"
}

print_table_boot() {
  choose_shown ''
  printf '\nboot to init, devices %s, %s of memory, median of %d runs ± the median distance from it\n' "$devices" "$memory" "$runs"
  side_head
  side_row 'seconds to init' seconds
  side_row "seconds to the kernel's entry" seconds -entry
  side_row 'VM exits without host interrupts' net_exits
  side_row '  of these: MMIO' mmio_exits
  side_row '  of these: ports' io_exits
  side_row '  of these: halt' halt_exits
  side_row 'VM exits for host interrupts' irq_exits
  side_row "VM exits to the kernel's entry" net_exits -entry
  [[ -z $(values gpuvm-unpacked seconds) ]] || printf 'gpuvm that unpacks the kernel (boot.decompress = "host"): %s s to init, %s of %s'"'"'s\n' \
    "$(amount gpuvm-unpacked seconds)" "$(pairs_text gpuvm-unpacked "$(first_peer)" seconds)" "$(short_title "$(first_peer)")"
  [[ -z $(values gpuvm-phases ready) ]] || printf 'gpuvm, one run: %s s to the first instruction, of which the reset %s ms; %s s to init\n' \
    "$(amount gpuvm-phases ready)" "$(amount gpuvm-phases reset_ms)" "$(amount gpuvm-phases seconds)"
  print_counts
  printf '\n'
}

# What one more run of each counted.
print_counts() {
  choose_shown -counts
  ((${#shown[@]})) && [[ ${shown[0]} == gpuvm ]] || { choose_shown '' && return; }
  printf '\ncounted to init, in one run each\n'
  side_head
  side_row 'requests of ioctl(2)' ioctls -counts
  side_row '  KVM_RUN' kvm_run -counts
  side_row '  memory slots' slot_changes -counts
  side_row '  DMA maps, resets of a bus' dma_maps -counts
  side_row '  DMA unmaps' dma_unmaps -counts
  side_row '  irqfds' irqfds -counts
  side_row '  ioeventfds' ioeventfds -counts
  side_row 'system calls, all' syscalls -counts
  side_row 'exits: nested page faults' reason_nested_page_fault -counts
  side_row '  ports' reason_ioio -counts
  side_row '  MSRs' reason_msr -counts
  side_row '  CPUID' reason_cpuid -counts
  side_row '  halt' reason_hlt -counts
  side_row 'private KiB' private_kib -counts
  side_row 'pages of guest memory that are there' guest_pages -counts
  print_device_counts
  choose_shown ''
}

# What reached gpuvm's devices until init, the most first: where exits that are not the kernel's come from.
print_device_counts() {
  [[ -r $OUT/gpuvm-phases.1 ]] || return 0
  sed -nE 's/^at_(.*)=([0-9]+)$/\2 \1/p' "$OUT/gpuvm-phases.1" | sort -k 1,1nr -k 2 | awk '
    $1 > 0 && ++n <= 12 { if (n == 1) print "accesses that reached gpuvm and its devices, one run"; printf "%8d  %s\n", $1, $2 }'
}

print_verdicts_boot() {
  local exits
  exits=$(median gpuvm net_exits)
  verdict "$(at_most "$exits" $EXITS_TARGET)" "VM exits to init: $exits, target at most $EXITS_TARGET"
  pair_verdict $TIME_TARGET 'time to init' seconds
  pair_verdict $NET_EXITS_TARGET 'VM exits to init' net_exits
  pair_verdict $ENTRY_TARGET "time to the kernel's entry" seconds -entry
}

# Each monitor's way to init as a picture: before the kernel, and the kernel; gpuvm's once more with its reset.
draw_boot() {
  local monitor entry rows=()
  choose_shown -entry
  for monitor in "${shown[@]}"; do
    entry=$(median "$monitor-entry" seconds)
    rows+=("$(short_title "$monitor")$(printf '\t')$(awk -v entry="$entry" -v init="$(median "$monitor" seconds)" \
      'BEGIN { printf "before-the-kernel=%.3f kernel-to-init=%.3f", entry, (init > entry ? init - entry : 0) }')")
  done
  [[ -z $(values gpuvm-phases ready) ]] || rows+=("gpuvm, its events$(printf '\t')$(awk -v reset="$(median gpuvm-phases reset_ms)" \
    -v ready="$(median gpuvm-phases ready)" -v init="$(median gpuvm-phases seconds)" \
    'BEGIN { printf "reset=%.3f all-else-before=%.3f guest=%.3f", reset / 1000, ready - reset / 1000, init - ready }')")
  choose_shown ''
  time_line "$picture" "${rows[@]}"
}

print_table_reboot() {
  choose_shown ''
  printf "\na guest's reboot, from its command to the next init, devices %s, %s of memory, %d times %d reboots\n" \
    "$devices" "$memory" "$runs" "$cycles"
  side_head
  side_row 'seconds' seconds
  side_row 'VM exits without host interrupts' net_exits
  side_row '  of these: MMIO' mmio_exits
  side_row '  of these: ports' io_exits
  printf '\n'
}

print_verdicts_reboot() { pair_verdict $REBOOT_TARGET 'time of a reboot' seconds; }

print_table_bar() {
  local size peer
  printf '\nboot to init with a large BAR, devices %s, %s of memory, median of %d runs\n' "$devices" "$memory" "$runs"
  printf '%-10s%s%s%s' BAR "$(pad without 17)" "$(pad with 17)" "$(pad ratio 19)"
  printf '%s%s\n' "$(pad 'newest QEMU' 17)" "$(pad 'QEMU q35' 17)"
  for size in ${sizes//,/ }; do
    printf '%-10s%s%s%s' "$size" "$(pad "$(amount "gpuvm-without-$size" seconds)" 17)" "$(pad "$(amount "gpuvm-$size" seconds)" 17)" \
      "$(pad "$(pairs_text "gpuvm-$size" "gpuvm-without-$size" seconds)" 19)"
    for peer in newest qemu; do printf '%s' "$(pad "$(amount "$peer-$size" seconds)" 17)"; done
    printf '\n'
  done
  printf '\n'
}

print_verdicts_bar() {
  local size value
  for size in ${sizes//,/ }; do
    value=$(pair_ratios "gpuvm-$size" "gpuvm-without-$size" seconds | middle)
    [[ $value != 0 ]] || value=-
    verdict "$(at_most "$value" $BAR_TARGET)" "time to init with a BAR of $size: $value of that without, target at most $BAR_TARGET"
  done
}

# slope_of MONITOR: seconds for each GiB of memory.
slope_of() {
  local size
  for size in ${sizes//,/ }; do
    [[ -z $(values "$1-$((${size%G} * 1024))" seconds) ]] || printf '%s %s\n' "${size%G}" "$(median "$1-$((${size%G} * 1024))" seconds)"
  done | slope
}

print_table_memory() {
  local size monitor line
  local -a monitors=()
  for monitor in gpuvm gpuvm-before "${ALL_PEERS[@]}"; do [[ $(slope_of "$monitor") == - ]] || monitors+=("$monitor"); done
  printf '\nboot to init by memory, which is pinned for devices %s, median of %d runs\n' "$devices" "$runs"
  line=$(printf '%-20s' '')
  for monitor in "${monitors[@]}"; do line+=$(pad "$(short_title "$monitor")" 17); done
  printf '%s\n' "$line"
  for size in ${sizes//,/ }; do
    line=$(printf '%-20s' "seconds with $size")
    for monitor in "${monitors[@]}"; do line+=$(pad "$(amount "$monitor-$((${size%G} * 1024))" seconds)" 17); done
    printf '%s\n' "$line"
  done
  line=$(printf '%-20s' 'seconds for each GiB')
  for monitor in "${monitors[@]}"; do line+=$(pad "$(slope_of "$monitor")" 17); done
  printf '%s\n\n' "$line"
}

print_verdicts_memory() { :; }

print_table_dma() {
  local phase
  printf '\nsteady work with what the guest owns, devices %s, median of %d runs of %d s\n' "$devices" "$runs" "$seconds"
  choose_shown -fb
  side_head
  for phase in fb nvme-{read,write}-{1,32}; do
    side_row "$phase: requests a second" iops "-$phase"
    side_row '  VM exits for each' exits_each "-$phase"
    side_row '  MMIO exits in all' mmio_exits "-$phase"
  done
  printf '\n'
}

print_verdicts_dma() {
  local phase exits
  for phase in fb nvme-{read,write}-{1,32}; do
    exits=$(median "gpuvm-$phase" mmio_exits)
    [[ -n $(values "gpuvm-$phase" mmio_exits) ]] || exits=-
    verdict "$(at_most "$exits" 0)" "MMIO exits during $phase: $exits, target 0"
  done
}

print_table_many() {
  local monitor size
  printf '\nguests at once, each with a device of its own, %s of memory each, median of %d runs\n' "$memory" "$runs"
  printf '%-18s%s%s%s%s%s\n' '' "$(pad guests 8)" "$(pad 'first init' 17)" "$(pad 'last init' 17)" "$(pad 'one by one' 17)" "$(pad share 17)"
  for monitor in gpuvm "${ALL_PEERS[@]}"; do
    for size in 1 2 4 8; do
      [[ -n $(values "$monitor-$size" seconds) ]] || continue
      printf '%-18s%s%s%s%s%s\n' "$(short_title "$monitor")" "$(pad "$size" 8)" "$(pad "$(amount "$monitor-$size" first)" 17)" \
        "$(pad "$(amount "$monitor-$size" seconds)" 17)" "$(pad "$(amount "$monitor-$size" serial)" 17)" \
        "$(pad "$(amount "$monitor-$size" share)" 17)"
    done
  done
  printf 'share: the last init by what the guests take one by one, divided by the %s CPUs of the lab host\n' "$(median gpuvm-8 cores)"
  printf 'one guest with all devices: %s s to init; reset %s ms; %s s to its first instruction\n\n' "$(amount gpuvm-one seconds)" \
    "$(amount gpuvm-one reset_ms)" "$(amount gpuvm-one ready)"
}

print_verdicts_many() {
  local share
  share=$(median gpuvm-8 share)
  [[ -n $(values gpuvm-8 share) ]] || share=-
  verdict "$(at_most "$share" $MANY_TARGET)" "eight starts at once: $share of one by one divided by the CPUs, target at most $MANY_TARGET"
}

# The eight guests' inits of the first run as a picture.
draw_many() {
  local number rows=()
  for number in 0 1 2 3 4 5 6 7; do
    rows+=("guest $number$(printf '\t')start-to-init=$(values gpuvm-8 "guest_$number" | head -n 1)")
  done
  time_line "$picture" "${rows[@]}"
}

print_table_footprint() {
  choose_shown ''
  printf '\nan idle guest, devices %s, %s of memory, median of %d runs\n' "$devices" "$memory" "$runs"
  side_head
  side_row 'private KiB beside guest memory' private_kib
  side_row 'threads' threads
  side_row 'descriptors' descriptors
  side_row "exits due to the monitor, in $seconds s" monitor_exits
  side_row 'exits without host interrupts' idle_net_exits
  side_row "wake-ups of the monitor, in $seconds s" wake_ups
  side_row "private KiB at the kernel's entry" private_kib -entry
  side_row 'pages of guest memory touched then' guest_pages -entry
  side_row 'the program, KiB' program_kib -program
  printf '\n'
  print_first first-lab 'in the lab'
  print_first first 'on this machine'
  printf '\n'
}

# print_first NAME WHERE
print_first() {
  [[ -n $(values "$1" own_ms) ]] || return 0
  printf 'exec to the first KVM_RUN, 1 GiB, no devices, %s: %s s, of which reading the files takes %s s; its own: %s ms\n' "$2" \
    "$(amount "$1" first_run)" "$(amount "$1" reads)" "$(amount "$1" own_ms)"
}

print_verdicts_footprint() {
  local name=first value
  value=$(median gpuvm private_kib)
  verdict "$(at_most "$value" $PRIVATE_TARGET)" "private memory: $value KiB, target at most $PRIVATE_TARGET"
  for value in monitor_exits wake_ups; do
    verdict "$(at_most "$(median gpuvm $value)" 0)" "${value/_/ } of an idle guest: $(median gpuvm $value), target 0"
  done
  [[ -n $(values first own_ms) ]] || name=first-lab
  value=$(median $name own_ms)
  [[ -n $(values $name own_ms) ]] || value=-
  verdict "$(at_most "$value" $FIRST_RUN_TARGET)" "exec to the first KVM_RUN less reading: $value ms ($name), target at most $FIRST_RUN_TARGET"
}

# The sandbox's modes are gpuvm-off, gpuvm-on and gpuvm-owner; ratios are to the first.
print_table_sandbox() {
  printf '\nboot to init in the sandbox, devices %s, %s of memory, median of %d runs ± the median distance from it\n' \
    "$devices" "$memory" "$runs"
  printf '%-36s%s%s%s%s%s\n' '' "$(pad 'no sandbox' 17)" "$(pad sandbox 17)" "$(pad ratio 19)" "$(pad 'owner besides' 17)" "$(pad ratio 19)"
  sandbox_row 'seconds to init' seconds
  sandbox_best
  sandbox_row "seconds to the kernel's entry" seconds -entry
  sandbox_row 'VM exits without host interrupts' net_exits
  sandbox_row '  of these: MMIO' mmio_exits
  sandbox_row '  of these: ports' io_exits
  sandbox_row "VM exits to the kernel's entry" net_exits -entry
  sandbox_row 'private KiB at init' private_kib
  sandbox_row 'processes' processes
  sandbox_row 'threads' threads
  sandbox_row '  of these: with a filter' filtered_threads
  printf '\n'
}

# sandbox_row TITLE METRIC [SUFFIX]
sandbox_row() {
  local kind line
  line=$(printf '%-36s' "$1")$(pad "$(amount "gpuvm-off${3:-}" "$2")" 17)
  for kind in on owner; do
    line+=$(pad "$(amount "gpuvm-$kind${3:-}" "$2")" 17)$(pad "$(pairs_text "gpuvm-$kind${3:-}" "gpuvm-off${3:-}" "$2")" 19)
  done
  printf '%s\n' "$line"
}

# What load adds to a time is more than a sandbox does: the best runs, which had the least of it, stand beside the medians.
sandbox_best() {
  local kind line without with
  without=$(best gpuvm-off seconds)
  line=$(printf '%-36s' '  the best run')$(pad "${without:--}" 17)
  for kind in on owner; do
    with=$(best "gpuvm-$kind" seconds)
    line+=$(pad "${with:--}" 17)$(pad "$([[ -z $with ]] && echo - || ratio "$with" "${without:-0}")" 19)
  done
  printf '%s\n' "$line"
}

print_verdicts_sandbox() {
  local kind
  for kind in on owner; do
    sandbox_verdict "$kind" seconds $SANDBOX_TARGET 'time to init'
    sandbox_verdict "$kind" net_exits $SANDBOX_EXITS_TARGET 'VM exits to init'
  done
}

# sandbox_verdict KIND METRIC TARGET WHAT
sandbox_verdict() {
  local value title="in the sandbox"
  [[ $1 != owner ]] || title="with an owner's process besides"
  value=$(pair_ratios "gpuvm-$1" gpuvm-off "$2" | middle)
  [[ -n $(pair_ratios "gpuvm-$1" gpuvm-off "$2") ]] || value=-
  verdict "$(at_most "$value" "$3")" "$4 $title: $value of that without, target at most $3"
}
