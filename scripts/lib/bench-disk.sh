#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench disk that runs in the lab host: RUNS times gpuvm, then QEMU, each with the same kernel, initrd and raw
# file, whose guest reads and writes at random, one request at a time and 32 at once. Leaves $LAB_OUT/MONITOR-PHASE.N with lines
# NAME=VALUE. PROGRAM is tests/lab/guest/disk_bench.c.
# Usage: bench-disk.sh RUNS SECONDS GPUVM KERNEL INITRD PROGRAM
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
runs=$1 seconds=$2 gpuvm=$3 kernel=$4 initrd=$5 program=$6
work=$(mktemp -d)
cmdline='console=ttyS0 quiet panic=-1 nowatchdog'

# The guest says when a phase begins and ends; the counters are read then.
make_initrd() {
  local root=$work/root
  mkdir -p "$root"
  cp "$program" "$root/disk_bench"
  cat >"$root/run.sh" <<END
until [ -b /dev/vda ]; do sleep 1; done
for phase in "read 1" "write 1" "read 32" "write 32"; do
  sleep 1
  echo "PHASE \$phase"
  /disk_bench /dev/vda \$phase $seconds
done
END
  { cat "$initrd"; (cd "$root" && find . -type f | cpio -o -H newc --quiet | gzip -1); } >"$work/initrd"
}

# shellcheck disable=SC2317 # one() calls it
start_gpuvm() {
  cat >"$work/bench.toml" <<END
name = "bench"
[machine]
cpus = 1
memory = "512MiB"
[cpu]
hide = ["xsave"]
[boot]
kernel = "$kernel"
initrd = "$work/initrd"
cmdline = "$cmdline"
[[disk]]
path = "$work/disk.img"
END
  "$gpuvm" run -q "$work/bench.toml" <"$work/in" >"$work/out" 2>"$work/log" &
}

# shellcheck disable=SC2317 # one() calls it
# An I/O thread of its own and io_uring, the best that QEMU has.
start_qemu() {
  set_qemu_program "${1:-qemu}"
  "${command[@]}" -M q35 -accel kvm -cpu host,-xsave -smp 1 -m 512M -nodefaults -no-user-config -display none -no-reboot \
    -serial stdio -kernel "$kernel" -initrd "$work/initrd" -append "$cmdline" -object iothread,id=io \
    -drive "if=none,id=disk,file=$work/disk.img,format=raw,cache=writeback,aio=io_uring" \
    -device virtio-blk-pci,drive=disk,iothread=io <"$work/in" >"$work/out" 2>"$work/log" &
}

# shellcheck disable=SC2317 # one() calls it
start_newest() { start_qemu newest; }

choose_qemus

count_exits() { exits=$(($(<"$KVM_STATS/exits") - $(<"$KVM_STATS/irq_exits"))); }

# one MONITOR RUN: run 0 pays for cold caches and is not kept.
one() {
  local monitor=$1 run=$2 line phase='' before=0 exits=0 phases=0 end=$((SECONDS + 300))
  "start_$monitor"
  guest=$!
  while ((phases < 4 && SECONDS < end)); do
    read_line "$lines" 5 || { is_running "$guest" || break; continue; }
    line=${line%$'\r'}
    count_exits
    case $line in
      PHASE*) phase=${line#PHASE } phase=${phase/ /-} before=$exits ;;
      REQUESTS*)
        phases=$((phases + 1))
        awk -v line="$line" -v exits=$((exits - before)) 'BEGIN {
          split(line, word, " ")
          printf "seconds=%s\nrequests=%d\niops=%.0f\nexits=%.3f\n", word[4], word[2], word[2] / word[4], exits / word[2] }' \
          >"$work/result"
        printf '  run %d  %-6s %-9s %s\n' "$run" "$monitor" "$phase" "$(grep -E '^(iops|exits)=' "$work/result" | tr '\n' ' ')"
        ((run == 0)) || cp "$work/result" "$LAB_OUT/$monitor-$phase.$run"
        ;;
    esac
  done
  end_processes "$guest"
  ((phases == 4)) || { failed=1; tail -n 5 "$work/log"; }
}

touch_memory
make_initrd
# Written once, so that neither monitor pays for the file's first pages.
head -c 64M /dev/zero >"$work/disk.img"
mkfifo "$work"/{in,out}
# shellcheck disable=SC2034 # read_line and the monitors use them
exec {lines}<>"$work/out" {input}<>"$work/in"
for ((run = 0; run <= runs; run++)); do
  order=(gpuvm "${peers[@]}")
  ((run % 2)) || order=("${peers[@]}" gpuvm)
  for monitor in "${order[@]}"; do
    wait_until_idle
    one "$monitor" "$run"
  done
done
rm -r "$work"
exit "$failed"
