#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench net that runs in the lab host: RUNS times gpuvm, then QEMU, each with the same kernel, initrd and tap,
# served by vhost-net, whose guest sends a TCP stream to the host and receives one. Leaves $LAB_OUT/MONITOR-PHASE.N with lines
# NAME=VALUE. PROGRAM is tests/lab/guest/net_bench.c.
# Usage: bench-net.sh RUNS SECONDS GPUVM KERNEL INITRD PROGRAM
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
  cp "$program" "$root/net_bench"
  cat >"$root/run.sh" <<END
until [ -e /sys/class/net/eth0 ]; do sleep 1; done
ip address add 10.9.0.2/24 dev eth0
ip link set eth0 up
until ping -c 1 -W 1 10.9.0.1 >/dev/null; do :; done
for phase in send receive; do
  sleep 1
  echo "PHASE \$phase"
  /net_bench \$phase 10.9.0.1 5001 $seconds
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
[[net]]
mode = "tap"
tap = "bench0"
END
  "$gpuvm" run -q "$work/bench.toml" <"$work/in" >"$work/out" 2>"$work/log" &
}

# shellcheck disable=SC2317 # one() calls it
start_qemu() {
  set_qemu_program "${1:-qemu}"
  "${command[@]}" -M q35 -accel kvm -cpu host,-xsave -smp 1 -m 512M -nodefaults -no-user-config -display none -no-reboot \
    -serial stdio -kernel "$kernel" -initrd "$work/initrd" -append "$cmdline" \
    -netdev tap,id=net,ifname=bench0,script=no,downscript=no,vhost=on -device virtio-net-pci,netdev=net,romfile= \
    <"$work/in" >"$work/out" 2>"$work/log" &
}

# shellcheck disable=SC2317 # one() calls it
start_newest() { start_qemu newest; }

choose_qemus

count_exits() { exits=$(($(<"$KVM_STATS/exits") - $(<"$KVM_STATS/irq_exits"))); }

# one MONITOR RUN: run 0 pays for cold caches and is not kept.
one() {
  local monitor=$1 run=$2 line phase='' before=0 exits=0 phases=0 mmio=0 mmio_before=0 cpu=0 cpu_before=0 end=$((SECONDS + 300))
  local -a processes=()
  "start_$monitor"
  guest=$!
  while ((phases < 2 && SECONDS < end)); do
    read_line "$lines" 5 || { is_running "$guest" || break; continue; }
    line=${line%$'\r'}
    count_exits
    read -r mmio <"$KVM_STATS/mmio_exits"
    # Who they are is asked once, with the guest's first line: it costs programs, which take time from the guest.
    ((${#processes[@]})) || mapfile -t processes < <(processes_of "$guest")
    cpu=$(host_cpu "${processes[@]}")
    case $line in
      PHASE*) phase=${line#PHASE } before=$exits mmio_before=$mmio cpu_before=$cpu ;;
      BYTES*)
        phases=$((phases + 1))
        awk -v line="$line" -v exits=$((exits - before)) -v mmio=$((mmio - mmio_before)) -v cpu=$((cpu - cpu_before)) 'BEGIN {
          split(line, word, " ")
          mib = word[2] / 1048576
          printf "seconds=%s\nmib=%.1f\nmib_a_second=%.1f\nexits=%.2f\n", word[4], mib, mib / word[4], exits / mib
          printf "mmio_exits=%d\ncpu_ms=%.3f\n", mmio, cpu / mib }' >"$work/result"
        printf '  run %d  %-6s %-8s %s\n' "$run" "$monitor" "$phase" "$(grep -E '^(mib_a_second|exits)=' "$work/result" | tr '\n' ' ')"
        ((run == 0)) || cp "$work/result" "$LAB_OUT/$monitor-$phase.$run"
        ;;
    esac
  done
  end_processes "$guest"
  ((phases == 2)) || { failed=1; tail -n 5 "$work/log"; }
}

touch_memory
make_initrd
modprobe -a tun vhost_net
ip tuntap add dev bench0 mode tap vnet_hdr
ip address add 10.9.0.1/24 dev bench0
ip link set bench0 up
"$program" serve 5001 &
server=$!
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
kill "$server"
rm -r "$work"
exit "$failed"
