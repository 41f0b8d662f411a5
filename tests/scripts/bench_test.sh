#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034
# scripts/bench without a lab: statistics, tables, JSON, the judgement of targets and the chart, of runs that are written down here; what
# counts of others (strace, the kernel, ninja) are read as; and its options. What runs in the lab host is bench_inside_test.sh's.
# (SC2034: functions that are tested read these variables.)
. "$(dirname "$0")/checks.sh"
. "$REPO/scripts/lib/build.sh"
. "$REPO/scripts/lib/bench-statistics.sh"
. "$REPO/scripts/lib/bench-json.sh"
. "$REPO/scripts/lib/bench-picture.sh"
. "$REPO/scripts/lib/bench-tables.sh"
. "$REPO/scripts/lib/bench-side.sh"
. "$REPO/scripts/lib/bench-build.sh"
. "$REPO/scripts/lib/bench-counts.sh"
. "$REPO/scripts/lib/bench-page.sh"
OUT=$WORK/out
mkdir "$OUT"
benchmark=boot devices=gpu,usb memory=1G runs=3 cycles=3 seconds=5 sizes=4G,16G targets='"time_ratio":0.5'

# record NAME METRIC VALUE…: a run for each value.
record() {
  local name=$1 metric=$2 run=0 value
  shift 2
  for value in "$@"; do
    run=$((run + 1))
    [[ $value == - ]] || printf '%s=%s\n' "$metric" "$value" >>"$OUT/$name.$run"
  done
}

test_statistics() {
  record a seconds 4 5 6 100
  record b seconds 8 - 8 50
  record a exits 7 7 7 7
  expect "median of four" same "$(median a seconds)" 5.5
  expect "median of three" same "$(median b seconds)" 8
  expect "median of none" same "$(median c seconds)" 0
  expect "spread: one run that was disturbed does not count" same "$(spread a seconds)" 1
  expect "no spread" same "$(spread a exits)" 0
  expect "the best" same "$(best a seconds)" 4
  expect "pairs: those that both have, by their numbers" same "$(pair_ratios a b seconds | tr '\n' ' ')" '0.5000 0.7500 2.0000 '
  expect "pairs: their median and ends" same "$(pairs_text a b seconds)" '0.75 (0.50-2.00)'
  expect "pairs: none" same "$(pairs_text a c seconds)" -
  expect "ratio by nothing" same "$(ratio 1 0)" -
  expect "slope" same "$(printf '1 5\n2 7\n4 11\n' | slope)" 2.000
  expect "slope of one point" same "$(printf '1 5\n' | slope)" -
  expect "at most" same "$(at_most 0.30 0.3)$(at_most 0.31 0.3)$(at_most - 0.3)" 100
  expect "names of what was measured" same "$(results_in "$OUT" | tr '\n' ' ')" 'a b '
  rm "$OUT"/*
}

# A boot of gpuvm and two peers.
record_boot() {
  record gpuvm seconds 4.8 5.0 5.4
  record qemu seconds 11.0 10.0 12.0
  record newest seconds 16.0 20.0 18.0
  record gpuvm net_exits 3400 3402 3410
  record newest net_exits 42500 42600 42700
  record gpuvm-entry seconds 0.5 0.6 0.7
  record newest-entry seconds 5.0 6.0 7.0
  record gpuvm-counts ioctls 300
  record newest-counts ioctls 900
  printf 'gpuvm=gpuvm 0.1.0 "x"\nnewest=QEMU 11.1\n' >"$OUT/versions"
}

test_tables() {
  record_boot
  print_table_boot >"$WORK/table"
  print_verdicts_boot >>"$WORK/table"
  expect "the peers, the newest first" grep -qE '^ +gpuvm +newest QEMU +ratio +QEMU q35 +ratio$' "$WORK/table"
  expect "time: median, spread, pairs" grep -qE '^seconds to init +5 ±0.2 +18 ±2 +0.30 \(0.25-0.30\) +11 ±1 +0.45 \(0.44-0.50\)$' "$WORK/table"
  expect "a figure that a peer lacks" grep -qE '^VM exits without host interrupts +3402 ±2 +42600 ±100 +0.08 \(0.08-0.08\) +- +-$' "$WORK/table"
  expect "the kernel's entry" grep -qE "^seconds to the kernel's entry +0.6 ±0.1 +6 ±1 +0.10" "$WORK/table"
  expect "counts" grep -qE '^requests of ioctl\(2\) +300 +900 +0.33$' "$WORK/table"
  expect "columns are in line" same "$(grep -E '^(seconds to init|VM exits without)' "$WORK/table" | wc -L)" \
    "$(grep '^seconds to init' "$WORK/table" | wc -L)"
  expect "the verdict is about the newest" grep -qx "holds: time to init: 0.3 of newest QEMU's, target at most 0.30" "$WORK/table"
  expect "exits, beside the newest's" grep -qE "^holds: VM exits to init: 0.0[78][0-9]* of newest QEMU's, target at most 0.08$" "$WORK/table"
  expect "the entry, too" grep -qx "holds: time to the kernel's entry: 0.1 of newest QEMU's, target at most 0.10" "$WORK/table"
  expect "exits" grep -qx 'holds: VM exits to init: 3402, target at most 6500' "$WORK/table"
  record gpuvm-phases ready 0.5
  record gpuvm-phases reset_ms 200
  record gpuvm-phases seconds 5
  record gpuvm-phases at_pci_ecam_reads 700
  record gpuvm-phases at_ports_unclaimed 0
  record gpuvm-unpacked seconds 3 4 4
  expect "what reached gpuvm's devices" grep -qE '^ +700  pci_ecam_reads$' <(print_table_boot)
  expect "and what nothing reached is not told" not grep -q unclaimed <(print_table_boot)
  expect "gpuvm that unpacks the kernel" grep -qF '"host"): 4 s to init, 0.20 (0.19-0.22) of newest QEMU'"'"'s' <(print_table_boot)
  expect "gpuvm's own account" grep -qx 'gpuvm, one run: 0.5 s to the first instruction, of which the reset 200 ms; 5 s to init' <(print_table_boot)
  picture=$WORK/boot.svg
  draw_boot
  expect "a picture: before the kernel, and after it" grep -q '<title>kernel-to-init: 4.40 s</title>' "$picture"
  expect "a picture: of the peer" grep -q '<title>kernel-to-init: 12.00 s</title>' "$picture"
  expect "a picture: gpuvm's reset" grep -q '<title>reset: 0.20 s</title>' "$picture"
  rm "$OUT"/{newest*,gpuvm-counts*,gpuvm-phases*,gpuvm-unpacked*}
  choose_shown ''
  expect "without the newest it is the other" grep -q "0.45.* of QEMU q35's" <(print_verdicts_boot)
  expect "without counts there is no table of them" not grep -q 'counted to init' <(print_table_boot)
  rm "$OUT"/*
}

test_other_tables() {
  record gpuvm-without-4G seconds 5 5 5
  record gpuvm-4G seconds 5 5.05 5.2
  record qemu-4G seconds 50
  expect "bar" grep -qE '^4G +5 +5.05 ±0.05 +1.01 \(1.00-1.04\) +- +50$' <(print_table_bar)
  expect "bar: holds" grep -q '^holds: time to init with a BAR of 4G: 1.01 ' <(print_verdicts_bar)
  expect "bar: nothing measured is no success" grep -q '^MISSED: time to init with a BAR of 16G: - ' <(print_verdicts_bar)
  record gpuvm-before-4096 seconds 9 9
  record gpuvm-before-16384 seconds 33 33
  expect "memory: what a GiB costs" grep -qE '^seconds for each GiB +2.000$' <(print_table_memory)
  record gpuvm-8 share 1.25 1.27 1.31
  record gpuvm-8 seconds 30 31 32
  record gpuvm-8 cores 2 2 2
  expect "many" grep -q '^holds: eight starts at once: 1.27 ' <(print_verdicts_many)
  expect "many: whose CPUs" grep -q 'divided by the 2 CPUs' <(print_table_many)
  expect "footprint: nothing measured is no success" grep -q '^MISSED: exec to the first KVM_RUN less reading: - ms' <(print_verdicts_footprint)
  record first own_ms 5 6 7
  expect "footprint" grep -q '^holds: exec to the first KVM_RUN less reading: 6 ms (first)' <(print_verdicts_footprint)
  record gpuvm-fb mmio_exits 0 0 3
  expect "dma: the median counts" grep -q '^holds: MMIO exits during fb: 0,' <(print_verdicts_dma)
  expect "dma: nothing measured is no success" grep -q '^MISSED: MMIO exits during nvme-read-1: -,' <(print_verdicts_dma)
  expect "warm: nothing measured is no success" grep -q '^MISSED: a job in a guest that waits (plain), less resets: - ' <(print_verdicts_warm)
  record cold-card seconds 40 50 60
  record warm-card seconds 10 10 24
  record cold-card wall 44 54 64
  record warm-card wall 14 14 28
  record warm-card plug_ms 120 130 140
  expect "warm: pairs" grep -q '^holds: a job in a guest that waits (card), less resets: 0.25 of ' <(print_verdicts_warm)
  expect "warm: beside the other" grep -qE '^seconds with a card +54 +14 +0.26$' <(print_table_warm)
  expect "warm: the plug" grep -qE '^from the plug to its announcement, ms +130$' <(print_table_warm)
  rm "$OUT"/*
}

test_sandbox() {
  local kind
  record gpuvm-off seconds 5.0 6.0 5.2
  record gpuvm-on seconds 5.1 6.0 5.3
  record gpuvm-owner seconds 5.5 6.6 -
  record gpuvm-off net_exits 3400 3400 3400
  record gpuvm-on net_exits 3401 3434 3434
  record gpuvm-off-entry seconds 0.5 0.5 0.5
  record gpuvm-on-entry seconds 0.6 0.55 0.6
  record gpuvm-on filtered_threads 9 9 9
  print_table_sandbox >"$WORK/table"
  print_verdicts_sandbox >"$WORK/verdicts"
  expect "sandbox: three ways" grep -qE '^ +no sandbox +sandbox +ratio +owner besides +ratio$' "$WORK/table"
  expect "sandbox: time: median, spread, pairs" grep -qE \
    '^seconds to init +5.2 ±0.2 +5.3 ±0.2 +1.02 \(1.00-1.02\) +6.05 ±0.55 +1.10 \(1.10-1.10\)$' "$WORK/table"
  expect "sandbox: the best run" grep -qE '^  the best run +5.0 +5.1 +1.02 +5.5 +1.10$' "$WORK/table"
  expect "sandbox: the kernel's entry" grep -qE "^seconds to the kernel's entry +0.5 +0.6 +1.20 \(1.10-1.20\) +- +-$" "$WORK/table"
  expect "sandbox: exits" grep -qE '^VM exits without host interrupts +3400 +3434 +1.01 \(1.00-1.01\) +- +-$' "$WORK/table"
  expect "sandbox: filters" grep -qE '^  of these: with a filter +- +9 +- +- +-$' "$WORK/table"
  expect "sandbox: columns are in line" same "$(sed 's/±/+/g; /^$/d; /^boot/d' "$WORK/table" | awk '{ print length }' | sort -u | wc -l)" 1
  expect "sandbox: time holds" grep -qx 'holds: time to init in the sandbox: 1.0192 of that without, target at most 1.03' "$WORK/verdicts"
  expect "sandbox: exits at the target hold" grep -q '^holds: VM exits to init in the sandbox: 1.01 ' "$WORK/verdicts"
  expect "sandbox: missed" grep -qx "MISSED: time to init with an owner's process besides: 1.1 of that without, target at most 1.03" "$WORK/verdicts"
  expect "sandbox: nothing measured is no success" grep -q "^MISSED: VM exits to init with an owner's process besides: - " "$WORK/verdicts"
  rm "$OUT"/gpuvm-o*
  expect "sandbox: nothing measured is no ratio" grep -qE '^  the best run +- +- +- +- +-$' <(print_table_sandbox)
  # The table of targets has the same limits, and the same names.
  for kind in on owner; do
    expect "sandbox: target of time, $kind" same "$(target_of "gpuvm-$kind.seconds" gpuvm-off.seconds)" "$SANDBOX_TARGET"
    expect "sandbox: target of exits, $kind" same "$(target_of "gpuvm-$kind.net_exits" gpuvm-off.net_exits)" "$SANDBOX_EXITS_TARGET"
  done
}

# target_of OURS THEIRS: of mode sandbox.
target_of() {
  awk -F '\t' -v ours="$1" -v theirs="$2" '$2 == "sandbox" && $3 == ours && $4 == theirs { print $6 }' "$REPO/scripts/lib/bench-targets.tsv"
}

test_json() {
  record_boot
  write_json "$WORK/boot.json"
  expect "JSON" jq -e . "$WORK/boot.json"
  expect "JSON: a median" same "$(jq -c .gpuvm.seconds "$WORK/boot.json")" '{"median":5,"spread":0.2,"runs":[1,2,3],"values":[4.8,5,5.4]}'
  expect "JSON: where and when" jq -e '.machine.cpus > 0 and .date and .commit and .benchmark == "boot" and .runs == 3' "$WORK/boot.json"
  expect "JSON: what" same "$(jq -r .programs.gpuvm "$WORK/boot.json")" 'gpuvm 0.1.0 "x"'
  expect "JSON: the machine without its name" same "$(jq -c '.machine | keys' "$WORK/boot.json")" '["cpu","cpus","kernel","lab","memory_gib"]'
  rm "$OUT"/*
}

# result FILE BENCHMARK DATE BODY
result() { printf '{"benchmark":"%s","date":"%s","commit":"c0ffee","runs":3,%s}\n' "$2" "$3" "$4" >"$WORK/$1"; }

# figures MEDIAN VALUES: of one metric, runs counted from 1.
figures() { jq -cn --argjson m "$1" --argjson v "[$2]" '{median:$m,spread:0,runs:[range(1;1+($v|length))],values:$v}'; }

test_targets() {
  local judge=$REPO/scripts/lib/bench-targets.sh
  result old.json boot 2026-01-01T00:00:00Z "\"gpuvm\":{\"seconds\":$(figures 9 9,9)},\"newest\":{\"seconds\":$(figures 10 10,10)}"
  result boot.json boot 2026-02-01T00:00:00Z "\"gpuvm\":{\"seconds\":$(figures 3 3,3,4),\"net_exits\":$(figures 10 10)},
    \"newest\":{\"seconds\":$(figures 11 12,10,11),\"net_exits\":$(figures 100 100)},\"qemu\":{\"seconds\":$(figures 6 6,6,6)}"
  result later.json boot 2026-03-01T00:00:00Z "\"gpuvm\":{\"seconds\":$(figures 3 3)},\"qemu\":{\"seconds\":$(figures 5 5)}"
  result footprint.json footprint 2026-02-01T00:00:00Z "\"gpuvm\":{\"private_kib\":$(figures 5000 5000,5001),\"wake_ups\":$(figures 0 0,0)}"
  echo '{"benchmark":' >"$WORK/torn.json"
  "$judge" "$WORK"/{old,boot,later,footprint,torn}.json >"$WORK/table" 2>"$WORK/said" && status=0 || status=$?
  expect "a target that is missed: status 1" same "$status" 1
  expect "the newest result that has both, in pairs" grep -qE \
    '^start to init +0.30 +0.30 +0.25 to 0.36 +0.60 +holds +3 \(few\), 2026-02-01, c0ffee$' "$WORK/table"
  expect "missed" grep -qE '^exits to init, less host interrupts +0.08 +0.10 +- +- +MISSED +1 \(few\)' "$WORK/table"
  expect "a figure by itself" grep -qE '^private memory of the monitor +4096 +5000.* +MISSED +2' "$WORK/table"
  expect "a target of 0" grep -qE '^wake-ups of an idle monitor +0 +0 +0 to 0 +- +holds' "$WORK/table"
  expect "what is not there is not measured" grep -qE '^OVMF, start to init +0.5 +- +- +- +not measured$' "$WORK/table"
  expect "a line for each target" same "$(grep -cE 'holds|MISSED|not measured' "$WORK/table")" \
    "$(grep -vc '^#' "$REPO/scripts/lib/bench-targets.tsv")"
  expect "a file that is none is told" grep -q 'torn.json is no result' "$WORK/said"

  printf 'before\n<!-- scripts/bench table: begin -->\nold\n<!-- scripts/bench table: end -->\nafter\n' >"$WORK/page.md"
  "$judge" --page "$WORK/page.md" --chart "$WORK/chart.svg" "$WORK"/{boot,footprint}.json >/dev/null || true
  expect "the page: what stands around the table" same "$(sed -n '1p;$p' "$WORK/page.md" | tr '\n' ' ')" 'before after '
  expect "the page: not the old table" not grep -qx old "$WORK/page.md"
  expect "the page: rows" grep -q '^| start to init | 0.30 of q35 | 0.30 | 0.25 to 0.36 | 0.50 | holds | 3 (few), 2026-02-01, c0ffee |$' "$WORK/page.md"
  expect "the page: its chart" grep -qF '](chart.svg)' "$WORK/page.md"
  expect "the chart is XML" perl -0ne 'exit !(/^<svg .*<\/svg>\s*$/s && (() = /<text/g) == (() = /<\/text>/g))' "$WORK/chart.svg"
  expect "the chart: a bar for each that was measured, but for 0" same "$(grep -c 'height="18"' "$WORK/chart.svg")" 3
  expect "the chart: missed is of another colour" same "$(grep -c '#d62728' "$WORK/chart.svg")" 2
  "$judge" --page "$WORK/page.md" --chart "$WORK/chart.svg" "$WORK/torn.json" >/dev/null 2>&1 || true
  expect "the page: what was measured stays until there is something newer" grep -q '^| start to init | 0.30 of q35 | 0.30 |.*| holds |' "$WORK/page.md"
  expect "the page: a row for each target, still" same "$(grep -cE '\| (holds|MISSED|not measured) \|' "$WORK/page.md")" \
    "$(grep -vc '^#' "$REPO/scripts/lib/bench-targets.tsv")"
  expect "nothing measured: no chart" not grep -q '](chart.svg)' "$WORK/page.md"
  echo 'no lines' >"$WORK/page.md"
  expect "a page without the lines is refused" not "$judge" --page "$WORK/page.md" --chart "$WORK/chart.svg" "$WORK/boot.json"
  expect "and stays as it is" same "$(cat "$WORK/page.md")" 'no lines'
}

# Each target is of a mode and of metrics that there are.
test_targets_table() {
  local line modes
  modes=$(sed -n 's/^MODES=(\(.*\))$/\1/p' "$REPO/scripts/bench")
  while IFS= read -r line; do
    expect "seven columns: $line" same "$(awk -F '\t' '{ print NF }' <<<"$line")" 7
    expect "a mode: $line" grep -qw "$(cut -f 2 <<<"$line")" <<<"$modes"
  done < <(grep -v '^#' "$REPO/scripts/lib/bench-targets.tsv")
}

test_counts() {
  # The first KVM_RUN at 1,000,000,000.25 s; KVM_RUN 3 times, KVM_SET_USER_MEMORY_REGION 2, VFIO_IOMMU_MAP_DMA 1, another 4.
  perl -e 'print pack("Q*", 1000000000250000000, 5, 0xae80, 3, 0, 0, 0x4020ae46, 2, 0x3b71, 1, 0x5401, 4, 0, 0)' >"$WORK/calls"
  expect "ioctl: all" grep -qx ioctls=10 <(ioctl_counts "$WORK/calls")
  expect "ioctl: slots" grep -qx slot_changes=2 <(ioctl_counts "$WORK/calls")
  expect "ioctl: DMA maps" grep -qx dma_maps=1 <(ioctl_counts "$WORK/calls")
  expect "ioctl: by code" grep -qx ioctl_ae80=3 <(ioctl_counts "$WORK/calls")
  expect "the first KVM_RUN" same "$(first_run_seconds "$WORK/calls" 1000000000.125)" first_run=0.1250
  cat >"$WORK/strace" <<'END_OF_TABLE'
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300           3       100           ioctl
 40.00    0.000200          10        20         5 openat
------ ----------- ----------- --------- --------- ----------------
100.00    0.000500           4       120         5 total
END_OF_TABLE
  expect "strace: all" grep -qx syscalls=120 <(call_counts "$WORK/strace")
  expect "strace: one" grep -qx syscall_openat=20 <(call_counts "$WORK/strace")
  expect "strace: nothing else" same "$(call_counts "$WORK/strace" | wc -l)" 3
  cat >"$WORK/hist" <<'END_OF_TABLE'
# event histogram
{ exit_reason:        124 } hitcount:         12
{ exit_reason:       1024 } hitcount:        345
{ exit_reason:        777 } hitcount:          1

Totals:
    Hits: 358
END_OF_TABLE
  expect "exits by reason" same "$(exit_reasons "$WORK/hist" | tr '\n' ' ')" 'reason_msr=12 reason_nested_page_fault=345 reason_777=1 '
  cat >"$WORK/smaps" <<'END_OF_TABLE'
55d0c0000000-55d0c0100000 r-xp 00000000 00:15 12 /usr/bin/gpuvm
Size:               1024 kB
Rss:                 900 kB
Private_Clean:       100 kB
Private_Dirty:        20 kB
7f0000000000-7f0040000000 rw-s 00000000 00:01 13 /memfd:guest (deleted)
Size:            1048576 kB
Rss:                8192 kB
Private_Clean:         0 kB
Private_Dirty:      8192 kB
7f1000000000-7f1040000000 rw-p 00000000 00:00 0
Size:            1048576 kB
Rss:                4096 kB
Private_Clean:         0 kB
Private_Dirty:      4096 kB
7f2000000000-7f2000010000 rw-p 00000000 00:00 0                          [heap]
Size:                 64 kB
Rss:                  64 kB
Private_Clean:         0 kB
Private_Dirty:        64 kB
END_OF_TABLE
  expect "private memory, beside the guest's" same "$(private_kib "$WORK/smaps" 1024 | tr '\n' ' ')" 'private_kib=184 guest_pages=3072 '
}

test_build() {
  printf '# ninja log v5\n0\t9000\t1\ta/CMakeFiles/a.dir/x.cpp.o\th\n100\t2100\t1\ta/CMakeFiles/a.dir/y.cpp.o\th\n0\t5000\t1\tb/CMakeFiles/b.dir/z.cpp.o\th\n' \
    >"$WORK/ninja_log"
  printf '9000\t9500\t1\tgpuvm\th\n9500\t9600\t1\tgpuvm\th\n' >>"$WORK/ninja_log"
  expect "the dearest files" same "$(dearest "$WORK/ninja_log" 2 | tr '\n' ' ')" \
    '9.0 a/CMakeFiles/a.dir/x.cpp.o 5.0 b/CMakeFiles/b.dir/z.cpp.o '
  expect "one that was made twice counts once" same "$(dearest "$WORK/ninja_log" 9 | grep -c gpuvm)" 1
  printf '[   0 s] packages\n[   5 s] installing x\n[  40 s] building gpuvm\nanything\n[ 240 s] guest kernel\n[ 300 s] done\n' >"$WORK/demo.log"
  expect "the demo's stages" same "$(demo_stages "$WORK/demo.log" | tr '\n' ' ')" \
    'stage_building=200 stage_guest=60 stage_installing=35 stage_packages=5 '
  expect "by room" same "$(dearest_rooms "$WORK/ninja_log" 9 | tr '\n' ' ')" '11.0 2 a 5.0 1 b '
}

test_hardware() {
  local hardware=$REPO/scripts/lib/bench-hardware.sh zero='' name text
  # Everything else costs nothing.
  while IFS=$'\t' read -r name _; do
    [[ $name == '#'* || $name == threads ]] || zero+=" $name=0"
  done <"$REPO/scripts/lib/bench-hardware.tsv"
  # shellcheck disable=SC2086
  text=$("$hardware" $zero gpus=3 gib=64 driver=2 cuinit=0.5 page_thread=0.25 page_floor=0.01 pin=0.001 reset_wait=0.4 open_wait=0.1 \
    settle=0.5 firmware_up=0.1)
  expect "the driver, one GPU after the other" grep -qx '| driver and cuInit | 6.50 | 6.50 |' <<<"$text"
  expect "opened at once" grep -qx '| devices opened | 0.10 | 0.10 |' <<<"$text"
  expect "a rest, or one that ends with the firmware" grep -qx '| reset, rest, check | 0.90 | 0.50 |' <<<"$text"
  expect "memory: the map for DMA, or what its pages take longer than the reset" grep -qx '| memory given and pinned | 0.06 | 0.14 |' <<<"$text"
  expect "the sum" grep -qF '| **7.6** | **7.2** |' <<<"$text"
  # shellcheck disable=SC2086
  text=$("$hardware" $zero gib=1 page_thread=0.8)
  expect "memory: one thread for each 128 MiB" grep -qx '| memory given and pinned | 0.10 | 0.10 |' <<<"$text"
  expect "a figure that is none" not "$hardware" driver=long
  expect "a figure that nobody knows" not "$hardware" drivers=2
  expect "each figure says whether a report replaces it" same "$(grep -v '^#' "$REPO/scripts/lib/bench-hardware.tsv" \
    | awk -F '\t' 'NF != 5 || $4 !~ /^(yes|no|part|counted)$/' | wc -l)" 0
  cp "$REPO/docs/hardware-estimate.md" "$WORK/page.md"
  "$hardware" --page "$WORK/page.md"
  expect "the page is what scripts/bench hardware --write makes of it" cmp "$WORK/page.md" "$REPO/docs/hardware-estimate.md"
}

test_options() {
  local bench=$REPO/scripts/bench
  refused() {
    local status=0
    "$bench" "$@" >"$WORK/said" 2>&1 </dev/null || status=$?
    ((status == 64 || status == 1)) && cat "$WORK/said"
  }
  expect "help" "$bench" --help
  expect "help after a mode" "$bench" reboot --help
  expect "no mode" grep -q '^Usage' <(refused)
  expect "an unknown mode" grep -q '^Usage' <(refused boots)
  expect "half of two modes" grep -q '^Usage' <(refused 'boot efi')
  expect "no number" grep -q -- '--runs is a number' <(refused boot --runs x)
  expect "no size" grep -q -- '--sizes are sizes' <(refused bar --sizes 4M)
  expect "a mode without peers takes options, too" grep -q -- '--memory is a size' <(refused sandbox --memory x)
  expect "a picture of what has none" grep -q -- '--picture is for' <(refused disk --picture x.svg)
  expect "a value is missing" grep -q -- '--peers needs a value' <(refused boot --peers)
  expect "an unknown option" grep -q '^Usage' <(refused boot --speed 3)
}

test_statistics
test_tables
test_other_tables
test_sandbox
test_json
test_targets
test_targets_table
test_counts
test_build
test_hardware
test_options
finish
