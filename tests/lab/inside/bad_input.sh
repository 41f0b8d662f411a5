#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# As in the manual, gpuvm(1).
USAGE=64 HOST=69 CONFIG=78

# refused WHAT STATUS TEXT COMMAND…: the command fails with this status, one line on standard error, which has the text (a
# basic regular expression), and nothing on standard output; the host is as it was before.
refused() {
  local what=$1 status=$2 text=$3 got=0
  shift 3
  timeout 120 "$@" >"$WORK/stdout" 2>"$WORK/stderr" </dev/null || got=$?
  cat "$WORK/stderr"
  expect "$what: exit status $status" test "$got" = "$status"
  expect "$what: one line, which says '$text'" is_one_error "$text"
  expect "$what: the host is as before" state_is "$before"
}

is_one_error() {
  [[ ! -s $WORK/stdout && $(wc -l <"$WORK/stderr") == 1 ]] && grep -q -- "^gpuvm: error: .*$1" "$WORK/stderr"
}

# run WORD…: the good guest, changed.
run() { refused "${@:1:3}" "$GPUVM" run -q "$WORK/good.toml" "${@:4}"; }

# wrong WHAT TEXT: the configuration in standard input.
wrong() {
  cat >"$WORK/wrong.toml"
  refused "$1" "$CONFIG" "$2" "$GPUVM" run -q "$WORK/wrong.toml"
}

test_command_line() {
  refused "unknown verb" $USAGE 'frobnicate' "$GPUVM" frobnicate
  refused "no configuration" $USAGE 'CONFIG' "$GPUVM" run
  refused "unknown option" $USAGE 'fast' "$GPUVM" run --fast "$WORK/good.toml"
}

test_configuration() {
  refused "no such configuration" $CONFIG 'missing.toml' "$GPUVM" run "$WORK/missing.toml"
  wrong "unknown key" 'memmory.*wrong.toml:2:1.*did you mean memory' <<<$'[machine]\nmemmory = "1GiB"'
  wrong "ill-typed key" 'machine.cpus.*wrong.toml:3:8' <<<$'[machine]\n\ncpus = "four"'
  wrong "unknown section" 'machin .*wrong.toml:1:2.*did you mean .machine' <<<$'[machin]\ncpus = 1'
  wrong "no TOML" 'wrong.toml:1:' <<<'machine is 4'
  run "unknown key in --set" $CONFIG 'did you mean cpus' --set machine.cpuz=4
}

test_files() {
  run "no kernel" $CONFIG 'no-kernel' --set "boot.kernel=$WORK/no-kernel"
  run "a directory for a kernel" $CONFIG 'not a regular file' --set "boot.kernel=$WORK"
  head -c 3000000 "$LAB_GUEST_KERNEL" >"$WORK/cut-kernel"
  run "truncated kernel" $CONFIG 'cut-kernel' --set "boot.kernel=$WORK/cut-kernel"
  head -c 300 "$LAB_GUEST_KERNEL" >"$WORK/stub-kernel"
  run "kernel of 300 bytes" $CONFIG 'stub-kernel' --set "boot.kernel=$WORK/stub-kernel"
  run "a program for a kernel" $CONFIG 'bash' --set "boot.kernel=$(command -v bash)"
  run "a text for a kernel" $CONFIG 'good.toml' --set "boot.kernel=$WORK/good.toml"
  run "no initrd" $CONFIG 'no-initrd' --set "boot.initrd=$WORK/no-initrd"
  truncate -s 600M "$WORK/huge-initrd"
  run "initrd larger than memory" $CONFIG 'huge-initrd.*memory' --set "boot.initrd=$WORK/huge-initrd"
}

# number FILE OFFSET TYPE: a field of a kernel's setup header (Linux, Documentation/arch/x86/boot.rst), od's type.
number() { od -An -t"$3" -j "$2" -N "${3#?}" "$1" | tr -d ' '; }

# What only the guest's firmware can find out; tests/cli/dump_test.sh has what is found before.
test_efi() {
  local code kernel=$WORK/efi-kernel efi
  code=$((($(number "$LAB_GUEST_KERNEL" 497 u1) + 1) * 512)) # setup_sects
  efi=(--set boot.mode=efi-handover --set "boot.kernel=$kernel" --set "console.serial=[\"file:$WORK/efi.console\"]")
  cp "$LAB_GUEST_KERNEL" "$kernel"
  # 1 MiB inside the payload (payload_offset) is noise.
  dd if=/dev/urandom of="$kernel" bs=1k seek=$(((code + $(number "$kernel" 584 u4)) / 1024 + 1024)) count=1024 conv=notrunc status=none
  run "EFI: a kernel whose payload is damaged" $CONFIG 'efi-kernel did not start through EFI: its EFI stub gave up with status' "${efi[@]}"
  expect "the console has what the kernel's stub said" grep -aq 'EFI stub: ERROR' "$WORK/efi.console"
  cp "$LAB_GUEST_KERNEL" "$kernel"
  # UD2 at the 64-bit handover entry (handover_offset + 0x200).
  printf '\017\013' | dd of="$kernel" bs=1 seek=$((code + $(number "$kernel" 612 u4) + 512)) conv=notrunc status=none
  run "EFI: a kernel that goes wrong at its entry" $CONFIG 'did not start through EFI: exception 0x6 at' "${efi[@]}"
  # xloadflags without the handover entries, no signature of a PE image.
  printf '\003\000' | dd of="$kernel" bs=1 seek=566 conv=notrunc status=none
  printf '\000\000' | dd of="$kernel" bs=1 conv=notrunc status=none
  run "EFI: a kernel without EFI stub" $CONFIG 'has no EFI stub' "${efi[@]}"
  run "EFI: memory too small" $CONFIG 'do not fit into the guest.s 128 MiB of memory' --set boot.mode=efi-handover --set machine.memory=128MiB
}

test_memory() {
  run "memory larger than the host" $HOST 'make it smaller' --set machine.memory=64GiB
  run "no huge pages" $HOST 'nr_hugepages' --set 'machine.hugepages="2MiB"'
  refused "memlock limit" $HOST 'ulimit -l' prlimit --memlock=67108864 setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
    "$GPUVM" run -q "$WORK/good.toml"
}

test_devices() {
  run "absent device" $CONFIG '0000:0b:00.0' --set 'pci.0.host="0000:0b:00.0"'
  run "a bridge" $CONFIG 'bridge' --set 'pci.0.host="0000:00:02.0"'
  run "a group with a function that is not passed through" $HOST '0000:01:00.1.*snd_hda_intel' --set 'pci.0.functions=[0]'
  run "unmanaged and not bound" $HOST 'vfio-pci' --set 'pci.0.managed=false'
}

test_roms_and_ids() {
  local corpus=tests/fuzz/corpus/option_rom
  : >"$WORK/empty.rom"
  truncate -s 16777217 "$WORK/large.rom"
  run "no ROM file" $CONFIG 'no.rom' --set "pci.0.rom=$WORK/no.rom"
  run "an empty ROM" $CONFIG 'empty.rom: The ROM is empty' --set "pci.0.rom=$WORK/empty.rom"
  run "a ROM over 16 MiB" $CONFIG 'large.rom.*16777216' --set "pci.0.rom=$WORK/large.rom"
  run "no ROM at all" $CONFIG 'no image begins in it' --set "pci.0.rom=$PWD/$corpus/ones"
  run "a truncated ROM" $CONFIG 'truncated: .*it is cut off' --set "pci.0.rom=$PWD/$corpus/truncated"
  run "a ROM whose chain loops" $CONFIG 'loop: .*for ever' --set "pci.0.rom=$PWD/$corpus/loop"
  run "another vendor's ROM" $CONFIG 'of another vendor' --set "pci.0.rom=$PWD/$corpus/legacy_efi"
  run "clique 16" $CONFIG 'gpudirect_clique must be an integer from 0 to 15' --set pci.0.gpudirect_clique=16
  run "a clique of another vendor's GPU" $CONFIG "NVIDIA's GPUs only" --set pci.0.gpudirect_clique=3
  run "ids of a bridge" $CONFIG 'is a bridge, whose ids' --set 'pci.0.host="0000:00:02.0"' --set pci.0.device_id=1
}

test_msix() {
  local usb=(--set 'pci.0.host="0000:02:00.0"')
  run "an MSI-X table nowhere" $CONFIG 'msix_relocation must be' --set pci.0.msix_relocation=bar6
  run "no MSI-X" $CONFIG 'pci.msix_relocation of 0000:01:00.0: The function has no MSI-X' --set pci.0.msix_relocation=bar4
  run "an MSI-X table in half a BAR" $CONFIG 'pci.msix_relocation of 0000:02:00.0: BAR 1 is the upper half' \
    "${usb[@]}" --set pci.0.msix_relocation=bar1
  run "an MSI-X table in coherent memory" $CONFIG 'BAR 0 is coherent_memory' "${usb[@]}" --set pci.0.msix_relocation=bar0 \
    --set 'pci.0.coherent_memory={ bar = 0 }'
}

test_device_in_use() {
  start_guest good
  wait_console WAITING 300
  local idle=$before
  before=$(host_state)
  run "device in use" $HOST 'belongs to the guest good (gpuvm, pid' --set name=second
  refused "unbind of a device in use" $HOST '0000:01:00.0' "$GPUVM" unbind 0000:01:00.0
  type_line on
  wait_guest 180
  expect "the first guest is none the worse" test "$guest_status" = 0
  before=$idle
  expect "the host is as before" state_is "$before"
}

test_host() {
  mv /dev/kvm /dev/kvm-away
  run "no /dev/kvm" $HOST '/dev/kvm is missing'
  mv /dev/kvm-away /dev/kvm
  # What a host without IOMMU shows.
  mount -t tmpfs none /sys/kernel/iommu_groups
  run "no IOMMU" $HOST 'iommu'
  umount /sys/kernel/iommu_groups
}

load_host_drivers
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest good 'echo WAITING; read -r word' <<'END'
[machine]
memory = "512MiB"
[[pci]]
host = "0000:01:00.0"
END
before=$(host_state)
test_command_line
test_configuration
test_files
test_efi
test_memory
test_devices
test_roms_and_ids
test_msix
test_host
test_device_in_use
finish
