# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a monitor does until its guest's init, counted: requests of ioctl(2) by code, system calls, exits by the processor's reasons,
# memory. Counts repeat where times do not. Sourced in the lab host, after bench-monitors.sh; the caller sets shim, the library of
# tests/bench/calls.c.

TRACING=${LAB_BENCH_TRACING:-/sys/kernel/tracing}

# ioctl_counts FILE: what the library wrote, as lines METRIC=VALUE. The file has pairs of 64-bit numbers: the moment of the first
# KVM_RUN and the library's own (ns), then code and count (Linux, include/uapi/linux/kvm.h and vfio.h). A code of VFIO's may stand for
# two requests: 0x3b71 maps memory for DMA and resets a bus.
ioctl_counts() {
  od -An -v -tu8 -w16 "$1" | awk '
    BEGIN {
      name["44672"] = "kvm_run"; name["1075883590"] = "slot_changes"; name["1084272201"] = "slot_changes"; name["15217"] = "dma_maps"
      name["15218"] = "dma_unmaps"; name["1075883638"] = "irqfds"; name["1077980793"] = "ioeventfds"; name["1074310762"] = "routings"
    }
    NR == 1 { next }
    $2 > 0 {
      all += $2
      if ($1 in name) sum[name[$1]] += $2
      printf "ioctl_%x=%d\n", $1, $2
    }
    END { for (n in sum) printf "%s=%d\n", n, sum[n]; printf "ioctls=%d\n", all }'
}

# first_run_seconds FILE STARTED: from STARTED ($EPOCHREALTIME) to the first KVM_RUN; nothing where there was none.
first_run_seconds() {
  od -An -v -tu8 -N 8 "$1" | awk -v a="$2" '$1 > 0 { printf "first_run=%.4f\n", $1 / 1e9 - a }'
}

# call_counts FILE: the table of strace -c as lines METRIC=VALUE.
call_counts() {
  awk '$1 ~ /^[0-9.]+$/ && $NF ~ /^[a-z_0-9]+$/ && NF >= 5 {
      if ($NF == "total") printf "syscalls=%d\n", $4
      else printf "syscall_%s=%d\n", $NF, $4
    }' "$1"
}

# exit_reasons FILE: the histogram of the trace event kvm_exit by exit_reason as lines METRIC=VALUE; names are those of AMD
# (APM volume 2, appendix C), since the emulated processor is one.
exit_reasons() {
  awk '
    BEGIN {
      n = split("0:cr0_read 4:cr4_read 16:cr0_write 19:cr3_write 20:cr4_write 78:exception_pf 96:interrupt 97:nmi 99:init " \
        "100:virtual_interrupt 114:cpuid 119:pause 120:hlt 121:invlpg 123:ioio 124:msr 127:shutdown 129:vmmcall 137:wbinvd " \
        "141:xsetbv 1024:nested_page_fault 1025:avic_incomplete 1026:avic_no_accel", pair, " ")
      for (i = 1; i <= n; i++) { split(pair[i], p, ":"); name[p[1]] = p[2] }
    }
    match($0, /exit_reason: *[0-9]+/) {
      reason = substr($0, RSTART, RLENGTH); sub(/.*: */, "", reason)
      if (match($0, /hitcount: *[0-9]+/)) {
        count = substr($0, RSTART, RLENGTH); sub(/.*: */, "", count)
        printf "reason_%s=%d\n", reason in name ? name[reason] : reason, count
      }
    }' "$1"
}

# private_kib SMAPS MEMORY_MIB: what of a process is private beside the guest's memory, in KiB: guest memory is a memfd or a mapping of
# at least half its size; pages of it that are there go to the second number.
private_kib() {
  awk -v half=$(($2 * 512)) '
    function finish() {
      if (!size) return
      if (is_guest || size >= half) { guest += rss } else own += private
    }
    /^[0-9a-f]+-[0-9a-f]+ / { finish(); is_guest = $6 ~ /memfd:/; size = rss = private = 0; next }
    $1 == "Size:" { size = $2 }
    $1 == "Rss:" { rss = $2 }
    $1 == "Private_Clean:" || $1 == "Private_Dirty:" { private += $2 }
    END { finish(); printf "private_kib=%d\nguest_pages=%d\n", own, guest / 4 }' "$1"
}

# smaps_of PROCESS…
smaps_of() {
  local process
  for process in "$@"; do cat "/proc/$process/smaps" 2>/dev/null || true; done
}

# entries FOLDER PROCESS…: of /proc/PROCESS/FOLDER, in all.
entries() {
  local folder=$1
  shift
  find "${@/#//proc/}" -mindepth 2 -maxdepth 2 -path "/proc/*/$folder/*" 2>/dev/null | wc -l
}

# print_process PROCESS: what it has, and all that are below it: an owner's process and what runs for the guest are the monitor's, too.
print_process() {
  local -a all
  mapfile -t all < <(processes_of "$1")
  private_kib <(smaps_of "${all[@]}") "$guest_memory"
  printf 'processes=%d\nthreads=%d\ndescriptors=%d\n' "${#all[@]}" "$(entries task "${all[@]}")" "$(entries fd "${all[@]}")"
}

# device_counts FILE: of what `gpuvm inspect --json` shows of a guest that runs: accesses that reached its devices, and those that nothing
# answered, as lines at_PLACE=COUNT. The rest of the exits was the kernel's: CPUID, MSRs, interrupts, pages.
device_counts() {
  jq -r 'paths(numbers) as $p | select($p[-1] | tostring
      | IN("reads", "writes", "accesses", "unclaimed", "transmitted", "port_exits", "mmio_exits") or test("^bus_[0-9]+$"))
    | "at_\($p | map(tostring) | join("_") | gsub("[^A-Za-z0-9]+"; "_"))=\(getpath($p))"' "$1"
}

# count_devices: of the guest that runs, for measure_start. What cannot be asked is left out.
count_devices() {
  local file=$work/inspected
  if command -v jq >/dev/null && timeout 60 "$guest_gpuvm" inspect --json "$guest_name" >"$file" 2>/dev/null </dev/null; then
    device_counts "$file" || true
  fi
}

# start_histogram, take_histogram FILE: of the guests' exits. The kernel changes its own code for that, which emulation stumbles over
# now and then: after all that is timed.
start_histogram() {
  local trigger=$TRACING/events/kvm/kvm_exit/trigger
  [[ -d $TRACING/events ]] || mount -t tracefs tracefs "$TRACING" 2>/dev/null || return 1
  [[ -w $trigger ]] || return 1
  if grep -q '^hist:' "$trigger"; then
    echo 'hist:keys=exit_reason:clear' >"$trigger"
  else
    echo 'hist:keys=exit_reason' >"$trigger"
  fi
}

take_histogram() { cat "$TRACING/events/kvm/kvm_exit/hist" >"$1"; }

# count_start MONITOR TEXT FOLDER: three starts until the guest prints TEXT: with the library and the histogram, with strace, and
# neither is timed. What cannot be counted here is left out.
count_start() {
  local histogram=0 calls=$3/calls
  rm -f "$calls"
  ! start_histogram || histogram=1
  # shellcheck disable=SC2154 # the caller sets it
  launcher=(env "LD_PRELOAD=$shim" "GPUVM_BENCH_CALLS=$calls")
  measure_held "$1" "$2" "$3" || { launcher=(); return 1; }
  [[ ! -s $calls ]] || ioctl_counts "$calls"
  ((histogram == 0)) || { take_histogram "$3/histogram" && exit_reasons "$3/histogram"; }
  launcher=()
  command -v strace >/dev/null || return 0
  launcher=(strace -f -c -o "$3/strace")
  if measure_held "$1" "$2" "$3" >/dev/null; then call_counts "$3/strace"; fi
  launcher=()
}

# measure_held MONITOR TEXT FOLDER: as measure_start, and what its process has at that moment.
measure_held() {
  local process
  ((${#guest_functions[@]} == 0)) || lab-bind "${guest_functions[@]}"
  prepare_place "$3"
  read_counters before
  start_monitor "$1" "$3"
  wait_line "$2" 600 "$3" || { fail_run "$3" "$1: the guest did not print $2"; return 1; }
  read_counters after
  process=$(monitor_process)
  print_counters before after
  print_process "$process"
  stop_monitor
  leave_place
}
