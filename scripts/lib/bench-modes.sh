# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The measurements of scripts/bench that run in the lab: what each needs, and its part in the lab host. Sourced; the caller sets here, OUT,
# runs, memory, devices, functions, gpuvm, kernel, seconds, sizes, cycles.
# (SC2034, SC2154: scripts/bench's.)

# lab_part SECONDS LAB-OPTIONS -- PART ARGUMENT…: scripts/lib/bench-PART.sh in the lab host.
lab_part() {
  local limit=$1 part
  local -a options=()
  shift
  while [[ $1 != -- ]]; do options+=("$1") && shift; done
  part=$2
  shift 2
  "$here/lab" "${options[@]}" --out "$OUT" --timeout "$limit" -- "$here/lib/bench-$part.sh" "$@"
}

# How often a start is measured in all: gpuvm and its peers, and the first round.
starts() { echo $(((runs + 1) * (1 + $(wc -w <<<"$LAB_BENCH_PEERS")))); }

probe_kernel() { "$here/lib/probe-kernel.sh" "$kernel" "$OUT/probe"; }

# The library that counts a monitor's requests, and what reads files in its place.
build_counters() {
  cc -shared -fPIC -O2 -o "$OUT/calls.so" "$GPUVM_REPO/tests/bench/calls.c"
  cc -O2 -static -o "$OUT/read_files" "$GPUVM_REPO/tests/bench/read_files.c"
}

measure_boot() {
  targets='"net_exits":'$EXITS_TARGET',"time_ratio":'$TIME_TARGET
  local shim=-
  probe_kernel
  ((!counts)) || { build_counters && shim=$OUT/calls.so; }
  stage "measuring in the lab: $runs times gpuvm and $LAB_BENCH_PEERS, devices $devices, $memory"
  lab_part $((1200 + $(starts) * 180)) --devices "$devices" -- \
    boot "$runs" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$OUT/probe" "$shim" "${functions[@]}"
}

measure_efi() {
  targets='"init_ratio":'$EFI_TARGET',"ovmf_ratio":'$OVMF_TARGET
  probe_kernel
  stage "measuring in the lab: $runs times both boot modes and OVMF, devices $devices, $memory"
  lab_part $((600 + (runs + 1) * 600)) --devices "$devices" -- \
    efi "$runs" "$memory" "$gpuvm" "$kernel" "$OUT/probe" "$OUT/guest.cpio.gz" "${functions[@]}"
}

measure_uefi() {
  targets='"time_ratio":'$UEFI_TARGET',"large_bar_ratio":'$LARGE_BAR_TARGET
  probe_kernel
  stage "measuring in the lab: $runs times OVMF under gpuvm and QEMU, devices $devices, $memory"
  lab_part $((600 + $(starts) * 600)) --devices "$devices,bar=16G" -- \
    uefi "$runs" "$memory" "$gpuvm" "$OUT/probe" "$OUT/guest.cpio.gz" 0000:05:00.0 "$kernel" "${functions[@]}"
}

measure_disk() {
  targets='"iops_ratio":'$DISK_TARGET
  cc -O1 -static -o "$OUT/disk_bench" "$GPUVM_REPO/tests/lab/guest/disk_bench.c"
  stage "measuring in the lab: $runs times gpuvm and QEMU, $seconds s for each way"
  lab_part $((240 + $(starts) * (120 + 4 * seconds))) --devices none -- \
    disk "$runs" "$seconds" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$OUT/disk_bench"
}

measure_net() {
  targets='"throughput_ratio":'$NET_TARGET
  cc -O1 -static -o "$OUT/net_bench" "$GPUVM_REPO/tests/lab/guest/net_bench.c"
  stage "measuring in the lab: $runs times gpuvm and QEMU, $seconds s for each way"
  lab_part $((240 + $(starts) * (90 + 2 * seconds))) --devices none -- \
    net "$runs" "$seconds" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$OUT/net_bench"
}

measure_ci() {
  local virtme busybox
  targets='"overhead_ratio":'$CI_TARGET
  install_packages file jq
  virtme=$("$here/lab" --print-virtme-ng)
  busybox=$(dirname "$virtme")/busybox
  stage "measuring in the lab: $runs times gpuvm test and virtme-ng, devices $devices"
  lab_part $((600 + runs * 600)) --devices "$devices" -- \
    ci "$runs" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$virtme" "$busybox" "${functions[@]}"
}

# The lab host has the guest's disk in its memory, beside two guests.
measure_warm() {
  local REPO=$GPUVM_REPO
  targets='"ratio":'$WARM_TARGET
  devices=nvme memory=1G
  set_functions
  install_packages jq
  stage 'the guest: Debian 12 of scripts/make-image'
  . "$GPUVM_REPO/tests/lab/lib/node_image.sh"
  pushd "$GPUVM_REPO" >/dev/null
  use_node_image
  popd >/dev/null
  stage "measuring in the lab: $runs times a job in a guest that boots and in one that waits, devices $devices"
  lab_part $((900 + runs * 900)) --devices "$devices" --memory 7G -- warm "$runs" "$gpuvm" "${functions[0]}"
}

measure_reboot() {
  targets='"time_ratio":'$REBOOT_TARGET
  stage "measuring in the lab: $runs times $cycles reboots of gpuvm and $LAB_BENCH_PEERS, devices $devices, $memory"
  lab_part $((300 + $(starts) * (60 + 60 * cycles))) --devices "$devices" -- \
    reboot "$runs" "$cycles" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "${functions[@]}"
}

# Of a size each lab host has one device. QEMU takes some 8 s for each GiB: it is measured up to 4 GiB.
measure_bar() {
  local size status=0 peers
  targets='"ratio":'$BAR_TARGET
  for size in ${sizes//,/ }; do
    peers=0
    ((${size%G} > 4)) || peers=1
    stage "measuring in the lab: $runs times gpuvm with and without a BAR of $size, devices $devices, $memory"
    lab_part $((900 + (runs + 1) * 180)) --devices "$devices,bar=$size" -- \
      bar "$runs" "$size" "$peers" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" 0000:05:00.0 "${functions[@]}" || status=1
    rm -f "$OUT/bar.mem"
  done
  return $status
}

measure_memory() {
  local -a mebibytes=()
  local size
  targets=''
  for size in ${sizes//,/ }; do mebibytes+=("$((${size%G} * 1024))"); done
  stage "measuring in the lab: $runs times gpuvm and $LAB_BENCH_PEERS with $sizes of memory, devices $devices"
  lab_part $((300 + $(starts) * ${#mebibytes[@]} * 120)) --devices "$devices" -- \
    memory "$runs" "${mebibytes[*]}" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "${functions[@]}"
}

measure_dma() {
  targets='"mmio_exits":0'
  cc -O1 -static -o "$OUT/disk_bench" "$GPUVM_REPO/tests/lab/guest/disk_bench.c"
  cc -O1 -static -o "$OUT/fb_bench" "$GPUVM_REPO/tests/lab/guest/fb_bench.c"
  devices=gpu,nvme
  set_functions
  stage "measuring in the lab: $runs times steady work of guests of gpuvm and $LAB_BENCH_PEERS, $seconds s for each"
  lab_part $((300 + $(starts) * (150 + 5 * seconds))) --devices "$devices" -- \
    dma "$runs" "$seconds" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$OUT/fb_bench" "$OUT/disk_bench" "${functions[@]}"
}

measure_many() {
  targets='"share":'$MANY_TARGET
  devices=gpu,usb,vgpu,nvme,bar=256M,edu,gpu2
  stage "measuring in the lab: $runs times 1, 2, 4 and 8 guests at once, $memory each"
  lab_part $((600 + $(starts) * 900)) --devices "$devices" -- \
    many "$runs" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz"
}

# The first KVM_RUN is timed in the lab, and on the machine itself where that has a /dev/kvm.
measure_footprint() {
  local status=0
  targets='"private_kib":'$PRIVATE_TARGET',"own_ms":'$FIRST_RUN_TARGET
  probe_kernel
  build_counters
  stage "measuring in the lab: $runs times idle guests of gpuvm and $LAB_BENCH_PEERS, devices $devices, $memory"
  lab_part $((600 + $(starts) * (180 + seconds))) --devices "$devices" -- \
    footprint "$runs" "$seconds" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$OUT/probe" "${functions[@]}" || status=1
  lab_part $((300 + (runs + 1) * 40)) --devices none -- first first-lab "$OUT" "$runs" "$gpuvm" "$OUT/probe" "$OUT/guest.cpio.gz" "$OUT/calls.so" \
    "$OUT/read_files" || status=1
  if [[ -w /dev/kvm ]]; then
    stage "measuring on this machine: $runs times gpuvm to its first KVM_RUN"
    "$here/lib/bench-first.sh" first "$OUT" "$runs" "$gpuvm" "$OUT/probe" "$OUT/guest.cpio.gz" "$OUT/calls.so" "$OUT/read_files" \
      || echo "  this machine's KVM does not do: what the lab says has to do"
  fi
  write_binary_sizes
  return $status
}

# Three starts to init and three to the kernel's entry in each round.
measure_sandbox() {
  targets='"time_ratio":'$SANDBOX_TARGET',"exits_ratio":'$SANDBOX_EXITS_TARGET
  probe_kernel
  stage "measuring in the lab: $runs times without a sandbox, with it, and with an owner's process, devices $devices, $memory"
  lab_part $((360 + (runs + 1) * 480)) --devices "$devices" -- \
    sandbox "$runs" "$memory" "$gpuvm" "$kernel" "$OUT/guest.cpio.gz" "$OUT/probe" "${functions[@]}"
}

# What the programs are on disk, in KiB, without libraries.
write_binary_sizes() {
  local name program
  for name in gpuvm qemu; do
    program=$gpuvm
    [[ $name == gpuvm ]] || program=$(command -v qemu-system-x86_64) || continue
    cp "$program" "$OUT/stripped" && strip "$OUT/stripped" 2>/dev/null || true
    printf 'program_kib=%d\n' $(($(stat -L -c %s "$OUT/stripped") / 1024)) >"$OUT/$name-program.1"
    rm -f "$OUT/stripped"
  done
}
