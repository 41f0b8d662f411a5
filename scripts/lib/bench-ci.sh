#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench ci that runs in the lab host: RUNS times a job of `gpuvm test`, then one of QEMU driven by virtme-ng, each
# with the same kernel and command. Leaves $LAB_OUT/MONITOR.N with lines NAME=VALUE: seconds (what the job took beside the guest's own
# time, which is its kernel's uptime when the command ends), wall, guest; of gpuvm phase_NAME, too.
# VIRTME is the folder of the package's Python modules; it needs `file`, and BUSYBOX, a static one.
# Usage: bench-ci.sh RUNS GPUVM KERNEL INITRD VIRTME BUSYBOX [BDF]…
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
runs=$1 gpuvm=$2 kernel=$3 initrd=$4 virtme=$5 busybox=$6
shift 6
functions=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The job: what it does is nothing, so that all of the time is somebody's overhead. It says its kernel's uptime.
make_initrd() {
  mkdir -p "$work/root"
  cat >"$work/root/run.sh" <<'END'
read -r up _ </proc/uptime
echo "JOB-UPTIME=$up"
printf '\0' | dd of=/dev/port bs=1 seek=244 2>/dev/null
END
  { cat "$initrd"; (cd "$work/root" && find . -type f | cpio -o -H newc --quiet | gzip -1); } >"$work/initrd"
}

write_config() {
  local bdf last=''
  cat <<END
name = "job"
[machine]
cpus = 1
memory = "1GiB"
on_reboot = "exit"
[cpu]
hide = ["xsave"]
[boot]
kernel = "$kernel"
initrd = "$work/initrd"
cmdline = "console=ttyS0 quiet panic=-1"
[console]
serial = ["file:$work/console"]
[test]
exit_port = true
pvpanic = true
END
  for bdf in "${functions[@]}"; do
    [[ ${bdf%.*} == "$last" ]] || printf '[[pci]]\nhost = "%s"\n' "$bdf"
    last=${bdf%.*}
  done
}

# print_times BEGIN END CONSOLE
# shellcheck disable=SC2317 # job_gpuvm and job_virtme call it
print_times() {
  local up
  up=$(tr -d '\r' <"$3" | sed -nE 's/.*JOB-UPTIME=([0-9.]+).*/\1/p' | head -n 1)
  [[ -n $up ]] || { tail -n 20 "$3" >&2 && return 1; }
  awk -v a="$1" -v b="$2" -v up="$up" 'BEGIN { printf "seconds=%.2f\nwall=%.2f\nguest=%.2f\n", b - a - up, b - a, up }'
}

# shellcheck disable=SC2317 # measure calls it
job_gpuvm() {
  local begin=$EPOCHREALTIME
  rm -f "$work/console"
  "$gpuvm" test -q --result-json "$work/result.json" "$work/job.toml" >"$work/log" 2>&1 </dev/null || { tail -n 20 "$work/log" "$work/console" >&2; return 1; }
  print_times "$begin" "$EPOCHREALTIME" "$work/console" || return 1
  jq -r '.phases[] | "phase_\(.name)=\(.duration_ms / 1000)"' "$work/result.json"
}

# virtme-run is what virtme-ng's vng calls. 9p, since the lab host has no virtiofsd; q35 in place of microvm, which needs that.
# shellcheck disable=SC2317 # measure calls it
job_virtme() {
  local begin=$EPOCHREALTIME
  PYTHONPATH=$virtme /usr/bin/python3 -c 'import sys; from virtme.commands.run import main; sys.argv[0] = "virtme-run"; sys.exit(main())' \
    --kimg "$kernel" --mods auto --root / --force-9p --disable-microvm --disable-monitor --no-virtme-ng-init --busybox "$busybox" \
    --memory 1G --cpus 1 --script-sh 'read -r up _ </proc/uptime; echo "JOB-UPTIME=$up"' --qemu-opts -cpu host,-xsave \
    >"$work/console" 2>"$work/log" </dev/null || { tail -n 20 "$work/log" "$work/console" >&2; return 1; }
  print_times "$begin" "$EPOCHREALTIME" "$work/console" || return 1
}

# virtme-ng's guest has the lab host's root. With all of its rules udevd loads all drivers that fit, over 9p, which takes it longer than
# the 120 s after which virtme-ng goes on without it. These bring what its command comes by.
trim_udev() {
  mount -t tmpfs tmpfs /usr/lib/udev/rules.d
  cat >/usr/lib/udev/rules.d/50-virtio.rules <<'END'
SUBSYSTEM=="virtio", ENV{MODALIAS}=="?*", RUN{builtin}+="kmod load $env{MODALIAS}"
SUBSYSTEM=="virtio-ports", KERNEL=="vport*", ATTR{name}=="?*", SYMLINK+="virtio-ports/$attr{name}"
END
}

make_initrd
trim_udev
write_config >"$work/job.toml"
for ((run = 0; run <= runs; run++)); do
  measure gpuvm "$run" job_gpuvm
  measure virtme "$run" job_virtme
done
exit "$failed"
