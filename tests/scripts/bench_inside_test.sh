#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034
# The parts of scripts/bench that run in the lab host, with a program in the place of each monitor that says what a guest would say, and
# files in the place of KVM's counters: what is started, what is measured, what is left in $LAB_OUT.
# (SC2034: functions that are tested read these variables.)
. "$(dirname "$0")/checks.sh"

. "$REPO/scripts/lib/is-running.sh"

BIN=$WORK/bin
mkdir "$BIN"
export LAB_BENCH_NO_WAIT=1 LAB_BENCH_PEERS='qemu kvmtool newest nothing'

# A lab host of its own for each test, in $WORK: the tests run at once.
new_host() {
  local counter
  STATS=$WORK/kvm
  export LAB_OUT=$WORK/out LAB_BENCH_KVM_STATS=$STATS TMPDIR=$WORK/tmp FAKE_STATS=$STATS FAKE_STARTS=$WORK/starts
  mkdir "$STATS" "$LAB_OUT" "$TMPDIR"
  for counter in exits irq_exits io_exits mmio_exits halt_exits signal_exits insn_emulation; do echo 1000 >"$STATS/$counter"; done
  echo kernel >"$WORK/kernel"
  echo kernel >"$WORK/probe"
  echo initrd | gzip >"$WORK/guest.cpio.gz"
}

# What the lab host has, and would do something to this machine.
for program in lab-bind mount umount dd modprobe ip; do
  printf '#!/bin/sh\nexit 0\n' >"$BIN/$program"
  chmod +x "$BIN/$program"
done

# A monitor: gpuvm run … FILE, QEMU and kvmtool by their options. Its guest does what the script beside its initrd says, and each thing
# it does costs exits: 100 a line of its console with gpuvm, 400 with the others, 10 of them for the host.
cat >"$BIN/gpuvm" <<'END_OF_PROGRAM'
#!/bin/bash
name=${0##*/}
[[ ${1:-} != --version ]] || { echo "$name 1.0" && exit; }
[[ ${1:-} != inspect ]] || { echo '{"name":"bench","pci":{"ecam":{"buses":3,"reads":700,"writes":90,"accesses":{"bus_1":44}}},"ports":{"unclaimed":12}}' && exit; }
# A sandbox is a filter that allows everything; an owner's process has the monitor as its child, which is in no hurry to end with it.
if [[ -z ${FAKE_CONFINED:-} ]]; then
  export FAKE_CONFINED=1
  case " $* " in
    *' sandbox.owner=process '*)
      "$FAKE_CONFINE" "$0" "$@" <&0 &
      echo $! >>"$FAKE_STARTS.pids"
      exec sleep 60
      ;;
    *' sandbox.mode=on '*) [[ -n ${FAKE_LAX:-} ]] || exec "$FAKE_CONFINE" "$0" "$@" ;;
  esac
fi
printf '%s %s\n' "$name" "$*" >>"$FAKE_STARTS"
cost=400
if [[ $name == gpuvm ]]; then
  cost=100 config=${!#}
  kernel=$(sed -n 's/^kernel = "\(.*\)"$/\1/p' "$config") initrd=$(sed -n 's/^initrd = "\(.*\)"$/\1/p' "$config")
  cat "$config" >>"$FAKE_STARTS.toml"
fi
while (($#)); do
  case $1 in
    -kernel | --kernel) kernel=$2 ;;
    -initrd | --initrd) initrd=$2 ;;
    pipe,*) exec >"${1##*path=}.out" ;; # QEMU's console
    --events) printf '%s\n' '{"time":"2026-01-01T00:00:01.500Z","event":"reset","reason":"start","duration_ms":131}' \
      '{"time":"2026-01-01T00:00:02.000Z","event":"state","from":"created","to":"running"}' >"$2" ;;
  esac
  shift
done
add() { local value; read -r value <"$FAKE_STATS/$1"; echo $((value + $2)) >"$FAKE_STATS/$1.$$" && mv "$FAKE_STATS/$1.$$" "$FAKE_STATS/$1"; }
say() { add exits $((cost + 10)); add irq_exits 10; printf '%s\r\n' "$1"; }
case $kernel in *probe) say KERNEL-ENTERED; exec sleep 60 ;; esac
script=$(cat "${initrd%/*}/root/run.sh" 2>/dev/null)
[[ -z $FAKE_SILENT ]] || exec sleep 60
say GUEST-INIT-REACHED
case $script in
  *BENCH-REBOOT*) while :; do say BENCH-REBOOT; sleep 0.1; say GUEST-INIT-REACHED; sleep 0.1; done ;;
  *BENCH-IDLE*) say BENCH-IDLE ;;
  *vda*)
    for phase in 'read 1' 'write 1' 'read 32' 'write 32'; do
      say "PHASE $phase"
      sleep 0.2
      say 'REQUESTS 20 SECONDS 2.000'
    done
    ;;
  *net_bench*)
    for phase in send receive; do
      say "PHASE $phase"
      sleep 0.2
      say 'BYTES 2097152 SECONDS 0.500'
    done
    ;;
  *PHASE*)
    for phase in nvme-read-1 nvme-write-1 nvme-read-32 nvme-write-32 fb; do
      sleep 0.2
      say "PHASE $phase"
      sleep 0.2
      [[ $name == gpuvm ]] || add mmio_exits 7
      say 'REQUESTS 20 SECONDS 2.000'
    done
    ;;
esac
exec sleep 60
END_OF_PROGRAM
chmod +x "$BIN/gpuvm"
for program in qemu-system-x86_64 lkvm newest; do ln -s gpuvm "$BIN/$program"; done
cat >"$BIN/confine" <<'END_OF_PROGRAM'
#!/usr/bin/perl
# prctl(2): PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP with one instruction: return SECCOMP_RET_ALLOW.
my $allow = pack("SCCL", 6, 0, 0, 0x7fff0000);
my $program = pack("Sx6P", 1, $allow);
syscall(157, 38, 1, 0, 0, 0) == 0 && syscall(157, 22, 2, $program) == 0 or die "no filter: $!";
exec @ARGV;
END_OF_PROGRAM
chmod +x "$BIN/confine"
export FAKE_CONFINE=$BIN/confine
cc -shared -fPIC -O2 -Wall -Wextra -Werror -o "$BIN/calls.so" "$REPO/tests/bench/calls.c"
PATH=$BIN:$PATH

# run_part NAME ARGUMENT…: what it says is in $WORK/said.
run_part() {
  local name=$1
  shift
  rm -f "$LAB_OUT"/* "$FAKE_STARTS" "$FAKE_STARTS.toml"
  timeout -k 5 600 "$REPO/scripts/lib/bench-$name.sh" "$@" >"$WORK/said" 2>&1
}
value() { sed -n "s/^$2=//p" "$LAB_OUT/$1"; }
left() { find "$LAB_OUT" -type f -printf '%f\n' | sort | tr '\n' ' '; }

test_boot() {
  new_host
  expect "boot" run_part boot 2 1G "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" "$WORK/probe" - 0000:01:00.0 0000:01:00.1 0000:02:00.0
  expect "boot: what is left" same "$(left)" 'first-gpuvm first-gpuvm-entry first-gpuvm-unpacked first-kvmtool first-kvmtool-entry first-qemu first-qemu-entry'\
' gpuvm-entry.1 gpuvm-entry.2 gpuvm-unpacked.1 gpuvm-unpacked.2 gpuvm.1 gpuvm.2 kvmtool-entry.1 kvmtool-entry.2 kvmtool.1 kvmtool.2 qemu-entry.1 qemu-entry.2 qemu.1 qemu.2 '
  expect "boot: gpuvm's exits without the host's" same "$(value gpuvm.1 net_exits)" 100
  expect "boot: QEMU's" same "$(value qemu.2 net_exits)" 400
  expect "boot: seconds" grep -qE '^seconds=[0-9]+\.[0-9]{3}$' "$LAB_OUT/gpuvm.1"
  expect "boot: who cannot run is named" grep -q 'newest is left out: no newer QEMU was to be had' "$WORK/said"
  expect "boot: who is unknown, too" grep -q 'nothing is left out: there is no such monitor' "$WORK/said"
  expect "boot: one section a slot" same "$(grep -c '^host = ' "$FAKE_STARTS.toml")" $((9 * 2))
  expect "boot: QEMU's slots" grep -q 'vfio-pci,host=0000:01:00.1,addr=0x11.1,multifunction=on -device vfio-pci,host=0000:02:00.0,addr=0x12.0' \
    "$FAKE_STARTS"
  expect "boot: kvmtool's functions" grep -q 'lkvm run .*--vfio-pci 0000:01:00.0 --vfio-pci 0000:01:00.1' "$FAKE_STARTS"
  expect "boot: the same memory" same "$(grep -c '^memory = "1024MiB"$' "$FAKE_STARTS.toml")" 9
  expect "boot: gpuvm unpacks the kernel in starts of their own" same "$(grep -c ' --set boot.decompress=host ' "$FAKE_STARTS")" 3
  expect "boot: each goes first in turn" same "$(awk '{ print $1 }' "$FAKE_STARTS" | awk 'NR % 7 == 1' | tr '\n' ' ')" \
    'lkvm gpuvm lkvm '
}

test_counts() {
  local place=$WORK/tracing/events/kvm/kvm_exit
  new_host
  export LAB_BENCH_TRACING=$WORK/tracing
  mkdir -p "$place"
  printf '# Available triggers:\n' >"$place/trigger"
  printf '{ exit_reason:        124 } hitcount:         12\n' >"$place/hist"
  LAB_BENCH_PEERS=qemu expect "counts" run_part boot 1 1G "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" - "$BIN/calls.so"
  expect "counts: gpuvm's events" same "$(value gpuvm-phases.1 reset_ms)" 131
  expect "counts: what reached gpuvm's devices" same "$(value gpuvm-phases.1 at_pci_ecam_reads) $(value gpuvm-phases.1 at_ports_unclaimed) $(value gpuvm-phases.1 at_pci_ecam_accesses_bus_1)" '700 12 44'
  expect "counts: of each" test -s "$LAB_OUT/gpuvm-counts.1" -a -s "$LAB_OUT/qemu-counts.1"
  expect "counts: requests of ioctl" grep -qE '^ioctls=[0-9]+$' "$LAB_OUT/gpuvm-counts.1"
  expect "counts: exits by reason" same "$(value gpuvm-counts.1 reason_msr)" 12
  expect "counts: the histogram was asked for" grep -q '^hist:keys=exit_reason' "$place/trigger"
  expect "counts: private memory" grep -qE '^private_kib=[1-9]' "$LAB_OUT/gpuvm-counts.1"
  ! command -v strace >/dev/null || expect "counts: system calls" grep -qE '^syscalls=[1-9]' "$LAB_OUT/gpuvm-counts.1"
  expect "counts: nothing of them in what is timed" not grep -q '^ioctls=' "$LAB_OUT/gpuvm.1"
}

# gpuvm to its first KVM_RUN: a program that makes one such request, of a file that has none.
test_first() {
  new_host
  printf '%s\n' '#include <sys/ioctl.h>' '#include <unistd.h>' 'int main(void) { ioctl(-1, 0xae80, 0); write(1, "KERNEL-ENTERED\n", 15); pause(); }' \
    >"$WORK/runner.c"
  cc -o "$WORK/runner" "$WORK/runner.c"
  cc -o "$WORK/read_files" "$REPO/tests/bench/read_files.c"
  expect "first" run_part first first "$LAB_OUT" 2 "$WORK/runner" "$WORK/probe" "$WORK/guest.cpio.gz" "$BIN/calls.so" "$WORK/read_files"
  expect "first: what is left" same "$(left)" 'first.1 first.2 '
  expect "first: less the files" awk -F = '{ v[$1] = $2 } END { exit !(v["own_ms"] > 0 && v["own_ms"] < v["first_run"] * 1000) }' "$LAB_OUT/first.2"
  expect "first: one that runs no guest is no result" not run_part first first "$LAB_OUT" 1 /bin/true "$WORK/probe" "$WORK/guest.cpio.gz" \
    "$BIN/calls.so" "$WORK/read_files"
  expect "first: and leaves none" same "$(left)" ''
}

test_failure() {
  new_host
  export FAKE_SILENT=1
  sed 's/"\$2" 300 "\$3"/"$2" 1 "$3"/' "$REPO/scripts/lib/bench-monitors.sh" >"$WORK/short.sh"
  (
    . "$REPO/scripts/lib/bench-measure.sh"
    . "$REPO/scripts/lib/read-line.sh"
    . "$REPO/scripts/lib/is-running.sh"
    # shellcheck disable=SC1091
    . "$WORK/short.sh"
    guest_gpuvm=$BIN/gpuvm
    use_guest "$WORK/kernel" "$WORK/guest.cpio.gz" 512
    measure gpuvm 1 measure_start gpuvm GUEST-INIT-REACHED "$WORK/place"
    [[ $failed == 1 && ! -e $LAB_OUT/gpuvm.1 && ! -e $LAB_OUT/gpuvm.1.tmp ]]
  ) >"$WORK/said" 2>&1 || echo "NOT OK" >>"$WORK/said"
  expect "a guest that says nothing is a failed run" grep -q 'run 1  gpuvm *failed' "$WORK/said"
  expect "a failed run leaves nothing" not grep -q '^NOT OK' "$WORK/said"
}

test_reboot() {
  new_host
  expect "reboot" run_part reboot 2 3 1G "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" 0000:01:00.0
  expect "reboot: a file for each" same "$(left)" \
    'gpuvm.1 gpuvm.2 gpuvm.3 gpuvm.4 gpuvm.5 gpuvm.6 kvmtool.1 kvmtool.2 kvmtool.3 kvmtool.4 kvmtool.5 kvmtool.6 qemu.1 qemu.2 qemu.3 qemu.4 qemu.5 qemu.6 '
  expect "reboot: gpuvm starts again" not grep -q '^on_reboot' "$FAKE_STARTS.toml"
  expect "reboot: and does not wait" grep -q '^reboot_backoff = "off"$' "$FAKE_STARTS.toml"
  expect "reboot: QEMU starts again" not grep -q -- -no-reboot "$FAKE_STARTS"
}

test_bar() {
  new_host
  expect "bar" run_part bar 2 4G 1 1G "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" 0000:05:00.0 0000:01:00.0
  expect "bar: what is left" same "$(left)" \
    'first-gpuvm-4G first-gpuvm-without-4G gpuvm-4G.1 gpuvm-4G.2 gpuvm-without-4G.1 gpuvm-without-4G.2 kvmtool-4G.1 qemu-4G.1 '
  expect "bar: three starts with the large one" same "$(grep -c '^host = "0000:05:00.0"$' "$FAKE_STARTS.toml")" 3
}

test_memory() {
  new_host
  expect "memory" run_part memory 1 '512 1024' "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" 0000:01:00.0
  expect "memory: both ways of gpuvm" test -s "$LAB_OUT/gpuvm-512.1" -a -s "$LAB_OUT/gpuvm-before-1024.1"
  expect "memory: as many starts before" same "$(grep -c '^pin_memory = "before-start"$' "$FAKE_STARTS.toml")" 4
  expect "memory: as beside" same "$(grep -c '^pin_memory = "background"$' "$FAKE_STARTS.toml")" 4
  expect "memory: QEMU has as much" grep -q -- ' -m 1024M ' "$FAKE_STARTS"
}

test_dma() {
  new_host
  touch "$WORK"/{fb_bench,disk_bench}
  LAB_BENCH_PEERS=qemu expect "dma" run_part dma 1 2 512M "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" "$WORK/fb_bench" "$WORK/disk_bench" 0000:01:00.0
  expect "dma: requests a second" same "$(value gpuvm-nvme-read-32.1 iops)" 10.00
  expect "dma: exits for each" same "$(value gpuvm-fb.1 exits_each)" 5.000
  expect "dma: none reach gpuvm" same "$(value gpuvm-fb.1 mmio_exits)" 0
  expect "dma: those that reach QEMU" same "$(value qemu-fb.1 mmio_exits)" 7
}

test_many() {
  new_host
  LAB_BENCH_PEERS=qemu expect "many" run_part many 1 256M "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz"
  expect "many: what is left" same "$(left)" 'gpuvm-1.1 gpuvm-2.1 gpuvm-4.1 gpuvm-8.1 gpuvm-one.1 qemu-1.1 qemu-2.1 qemu-4.1 qemu-8.1 '
  expect "many: share" grep -qE '^share=[0-9.]+$' "$LAB_OUT/gpuvm-8.1"
  expect "many: eight moments" same "$(grep -c '^guest_[0-7]=' "$LAB_OUT/gpuvm-8.1")" 8
  expect "many: names of their own" same "$(grep -c '^name = "bench-7"$' "$FAKE_STARTS.toml")" 2
  expect "many: one with all devices" same "$(value gpuvm-one.1 reset_ms)" 131
}

test_footprint() {
  new_host
  LAB_BENCH_PEERS=qemu expect "footprint" run_part footprint 1 1 1G "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" "$WORK/probe" 0000:01:00.0
  expect "footprint: threads" same "$(value gpuvm.1 threads)" 1
  expect "footprint: an idle guest" same "$(value gpuvm.1 monitor_exits)" 0
  expect "footprint: wake-ups" same "$(value gpuvm.1 wake_ups)" 0
  expect "footprint: private memory" grep -qE '^private_kib=[1-9]' "$LAB_OUT/qemu.1"
  expect "footprint: before the kernel" grep -qE '^guest_pages=' "$LAB_OUT/gpuvm-entry.1"
}

test_disk_and_net() {
  new_host
  printf '#!/bin/sh\nexec sleep 100\n' >"$WORK/serve"
  chmod +x "$WORK/serve"
  touch "$WORK/disk_bench"
  export LAB_BENCH_QEMU=$BIN/newest
  expect "disk" run_part disk 1 1 "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" "$WORK/disk_bench"
  expect "disk: both QEMUs" test -s "$LAB_OUT/qemu-write-32.1" -a -s "$LAB_OUT/newest-read-1.1"
  expect "disk: requests a second" same "$(value gpuvm-read-1.1 iops)" 10
  expect "net" run_part net 1 1 "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" "$WORK/serve"
  expect "net: both QEMUs" test -s "$LAB_OUT/qemu-send.1" -a -s "$LAB_OUT/newest-receive.1"
  expect "net: MiB a second" same "$(value gpuvm-send.1 mib_a_second)" 4.0
  expect "net: what reaches the monitor" same "$(value gpuvm-send.1 mmio_exits)" 0
  expect "net: the host's CPU" grep -qE '^cpu_ms=[0-9.]+$' "$LAB_OUT/gpuvm-receive.1"
}

test_uefi() {
  new_host
  [[ -r /usr/share/OVMF/OVMF_VARS_4M.fd ]] || return 0
  export LAB_BENCH_QEMU=$BIN/newest
  expect "uefi" run_part uefi 1 1G "$BIN/gpuvm" "$WORK/probe" "$WORK/guest.cpio.gz" 0000:05:00.0 "$WORK/kernel" 0000:01:00.0
  expect "uefi: what is left" same "$(left)" 'first-gpuvm-bar-later first-gpuvm-first first-gpuvm-init first-gpuvm-later first-newest-first'\
' first-newest-init first-newest-later first-qemu-first first-qemu-init first-qemu-later gpuvm-bar-later.1 gpuvm-first.1 gpuvm-init.1'\
' gpuvm-later.1 newest-first.1 newest-init.1 newest-later.1 qemu-first.1 qemu-init.1 qemu-later.1 '
}

# A gpuvm that has a pool, whose guests take cards at once.
test_warm() {
  new_host
  mkdir -p "$WORK/warm/node"
  touch "$WORK/warm/node.img"
  tar -C "$WORK/warm" -cSf "$WORK/warm/node.tar" node.img node
  cat >"$WORK/warm/gpuvm" <<'END_OF_PROGRAM'
#!/bin/bash
case $1 in
  pool)
    cp "${!#}" "$FAKE_STARTS.pool"
    sleep 60 &
    trap 'kill $! && exit 0' TERM
    wait
    ;;
  ps) echo 'bench-0badcafe  42  paused' && exit ;;
esac
[[ " $* " == *' --warm bench '* ]] || sleep 0.3
while [[ $1 != --result-json ]]; do shift; done
if grep -q '^host' "${@: -3:1}"; then
  echo '{"resets":[{"duration_ms":10},{"duration_ms":5}]}' >"$2"
  [[ $* != *--warm* ]] || echo 'info: 0000:04:00.0 is plugged into bench-0badcafe after 131 ms' >&2
else
  echo '{"resets":[]}' >"$2"
fi
END_OF_PROGRAM
  chmod +x "$WORK/warm/gpuvm"
  LAB_NODE=$WORK/warm LAB_NODE_CMDLINE=quiet expect "warm" run_part warm 2 "$WORK/warm/gpuvm" 0000:04:00.0
  expect "warm: what is left" same "$(left)" 'cold-card.1 cold-card.2 cold-plain.1 cold-plain.2 first-cold-card first-cold-plain'\
' first-warm-card first-warm-plain warm-card.1 warm-card.2 warm-plain.1 warm-plain.2 '
  expect "warm: the resets" same "$(value warm-card.1 resets)" 0.015
  expect "warm: the plug" same "$(value warm-card.1 plug_ms)" 131
  expect "warm: what a guest boots takes longer" awk -v a="$(value cold-plain.1 seconds)" -v b="$(value warm-plain.1 seconds)" 'BEGIN { exit !(a > b) }'
  expect "warm: a free port needs the sandbox's mode" same "$(grep -cE '^(free_ports = 1|mode = "off")$' "$FAKE_STARTS.pool")" 2
}

# new_repo: `repo`, with a lab that runs its command here, for scripts/bench from its options to its result. Results are kept in it.
new_repo() {
  repo=$WORK/repo
  mkdir -p "$repo/tests" "$WORK/kernels"
  cp -r "$REPO/scripts" "$repo/"
  touch "$WORK/kernels/vmlinuz"
  echo 6.12.0 >"$WORK/kernels/release"
  cat >"$repo/scripts/lab" <<END_OF_LAB
#!/bin/bash
case \$1 in
  --print-kernel) echo $WORK/kernels/vmlinuz && exit ;;
  --print-qemu) exit 3 ;;
esac
printf '%s\\n' "\$*" >>$WORK/lab-calls
while [[ \$1 != -- ]]; do [[ \$1 != --out ]] || export LAB_OUT=\$2; shift; done
shift
exec "\$@"
END_OF_LAB
  printf '#!/bin/bash\nwhile (($#)); do [[ $1 != --out ]] || echo initrd | gzip >"$2"; shift; done\n' >"$repo/scripts/guest-image"
  printf '#!/bin/bash\ncp "$1" "$2"\n' >"$repo/scripts/lib/probe-kernel.sh"
}

test_whole() {
  local repo status
  new_host
  new_repo
  "$repo/scripts/bench" bar --runs 1 --sizes 4G,16G --gpuvm "$BIN/gpuvm" --peers qemu,newest --json "$WORK/bar.json" --keep >"$WORK/said" 2>&1 \
    && status=0 || status=$?
  expect "whole: status" same "$status" 0
  expect "whole: a lab host for each size" same "$(grep -oE 'bar=[0-9]+G' "$WORK/lab-calls" | tr '\n' ' ')" 'bar=4G bar=16G '
  expect "whole: the newest QEMU is not to be had" grep -q "Debian's mirror does not have it" "$WORK/said"
  expect "whole: the table" grep -qE '^16G +[0-9.]+ +[0-9.]+ +[0-9.]+ ' "$WORK/said"
  expect "whole: a verdict each" same "$(grep -cE '^(holds|MISSED): time to init with a BAR' "$WORK/said")" 2
  expect "whole: the result" jq -e '.benchmark == "bar" and .["gpuvm-16G"].seconds.runs == [1] and .programs.guest == "6.12.0"' "$WORK/bar.json"
  expect "whole: is kept" same "$(find "$repo/docs/benchmarks" -name '*-bar.json' | wc -l)" 1
  expect "whole: the table of targets has it" grep -qE '^start to init with a BAR of 16 GiB .* 1 \(few\)' <("$repo/scripts/bench" table || true)
}

test_whole_sandbox() {
  local repo status
  new_host
  new_repo
  "$repo/scripts/bench" sandbox --runs 1 --memory 2G --devices usb --gpuvm "$BIN/gpuvm" --json "$WORK/sandbox.json" >"$WORK/said" 2>&1 \
    && status=0 || status=$?
  expect "whole sandbox: status" same "$status" 0
  expect "whole sandbox: one lab host" same "$(grep -oE -- '--devices [a-z]+' "$WORK/lab-calls")" '--devices usb'
  expect "whole sandbox: its memory and functions" same "$(sort -u "$FAKE_STARTS.toml" | grep -E '^(host|memory)' | tr '\n' ' ')" \
    'host = "0000:02:00.0" memory = "2048MiB" '
  expect "whole sandbox: the table" grep -qE '^seconds to init +([0-9.]+ +){4}[0-9.]+$' "$WORK/said"
  expect "whole sandbox: exits are alike" same "$(grep -c '^holds: VM exits to init .*: 1 of that without' "$WORK/said")" 2
  expect "whole sandbox: the result" jq -e '.benchmark == "sandbox" and .targets.time_ratio == 1.03 and .["gpuvm-owner-entry"].seconds.runs == [1]' \
    "$WORK/sandbox.json"
  expect "whole sandbox: the table of targets has it" grep -qE '^exits to init in the sandbox +1.01 +1 +- +- +holds +1 \(few\)' \
    <("$repo/scripts/bench" table || true)
}

test_sandbox() {
  local pid left_over=''
  new_host
  expect "sandbox" run_part sandbox 2 1G "$BIN/gpuvm" "$WORK/kernel" "$WORK/guest.cpio.gz" "$WORK/probe" 0000:01:00.0
  expect "sandbox: what is left" same "$(left)" "first-gpuvm-off first-gpuvm-off-entry first-gpuvm-on first-gpuvm-on-entry first-gpuvm-owner\
 first-gpuvm-owner-entry gpuvm-off-entry.1 gpuvm-off-entry.2 gpuvm-off.1 gpuvm-off.2 gpuvm-on-entry.1 gpuvm-on-entry.2 gpuvm-on.1 gpuvm-on.2\
 gpuvm-owner-entry.1 gpuvm-owner-entry.2 gpuvm-owner.1 gpuvm-owner.2 "
  expect "sandbox: each goes first in turn" same \
    "$(sed -nE 's/.*sandbox.mode=([a-z]+) --set sandbox.owner=([a-z]+) .*/\1 \2/p' "$FAKE_STARTS" | awk 'NR % 6 == 1' | tr '\n' ',')" \
    'off inside,on inside,on process,'
  expect "sandbox: to init and to the entry, in all kinds" same \
    "$(sed -nE 's/.*(sandbox.mode=[a-z]+ --set sandbox.owner=[a-z]+) .*/\1/p' "$FAKE_STARTS" | sort | uniq -c | awk '{ print $1 }' | tr '\n' ' ')" '6 6 6 '
  expect "sandbox: exits" same "$(value gpuvm-off.1 net_exits) $(value gpuvm-on.2 net_exits) $(value gpuvm-owner.1 net_exits)" '100 100 100'
  expect "sandbox: none is off" same "$(value gpuvm-off.1 filtered_threads) of $(value gpuvm-off.1 threads)" '0 of 1'
  expect "sandbox: it is on" same "$(value gpuvm-on.1 filtered_threads) of $(value gpuvm-on.1 threads)" '1 of 1'
  expect "sandbox: the owner's process is counted" same "$(value gpuvm-owner.2 processes) $(value gpuvm-owner.2 threads)" '2 2'
  expect "sandbox: private memory" grep -qE '^private_kib=[1-9]' "$LAB_OUT/gpuvm-owner.1"
  expect "sandbox: nothing of it before the kernel" not grep -q '^filtered' "$LAB_OUT/gpuvm-on-entry.1"
  while read -r pid; do ! is_running "$pid" || left_over+=" $pid"; done <"$FAKE_STARTS.pids"
  expect "sandbox: an owner's monitor is gone when the next one starts" same "$left_over" ''
  FAKE_LAX=1 expect "sandbox: one that is not there is a failed run" not run_part sandbox 1 1G "$BIN/gpuvm" "$WORK/kernel" \
    "$WORK/guest.cpio.gz" "$WORK/probe"
  expect "sandbox: and says so" grep -q '^on: 1 processes, 0 of 1 threads with a filter: this is another sandbox$' "$WORK/said"
  expect "sandbox: and leaves nothing" test ! -e "$LAB_OUT/gpuvm-on.1" -a -s "$LAB_OUT/gpuvm-off.1"
}

# Those that take longest first.
together 6 test_footprint test_disk_and_net test_dma test_whole test_sandbox test_whole_sandbox test_reboot test_first test_failure test_many \
  test_boot test_uefi test_memory test_bar test_warm test_counts
finish
