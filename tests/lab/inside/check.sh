#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

HOST=69 # as in the manual, gpuvm(1)
GPU=0000:01:00.0 SECOND=0000:07:00.0

# lspci_tree: the tree as people make it, of sysfs and lspci.
lspci_tree() {
  local groups=() group devices bdf branch trunk leaf
  mapfile -t groups < <(find /sys/kernel/iommu_groups -mindepth 1 -maxdepth 1 -printf "%f\n" | sort -n)
  echo IOMMU
  for group in "${groups[@]}"; do
    branch=├ trunk='│   '
    [[ $group != "${groups[-1]}" ]] || { branch=└ trunk='    '; }
    printf '%s── %s\n' "$branch" "$group"
    mapfile -t devices < <(find "/sys/kernel/iommu_groups/$group/devices" -mindepth 1 -printf "%f\n" | sort)
    for bdf in "${devices[@]}"; do
      leaf=├
      [[ $bdf != "${devices[-1]}" ]] || leaf=└
      # Without the programming interface, which some versions add.
      printf '%s%s── %s\n' "$trunk" "$leaf" "$(LC_ALL=C lspci -nns "$bdf" | sed 's/ (prog-if [^)]*)$//')"
    done
  done
}

# checked NAME STATUS [OPTION…]: gpuvm check, and its exit status; what it prints is $WORK/NAME.log.
checked() {
  local name=$1 wanted=$2 got=0
  shift 2
  "$GPUVM" check "$@" >"$WORK/$name.log" 2>&1 || got=$?
  expect "check, $name: status $wanted" test "$got" = "$wanted"
}

# line_of NAME SUBJECT LEVEL CHECK TEXT: of that check a line under the heading SUBJECT.
line_of() {
  awk -v subject="$2" '/^[^ ]/ { at = $0 } at == subject' "$WORK/$1.log" | grep -E "^  $3  $4 +.*$5"
}

# carry_out NAME TEXT: the first command between backquotes in the line with TEXT, or in its cure.
carry_out() {
  local command
  # shellcheck disable=SC2016  # backquotes of the text
  command=$(grep -A 2 -e "$2" "$WORK/$1.log" | grep -o '`[^`]*`' | head -n 1 | tr -d '`')
  printf 'cure: %s\n' "$command"
  [[ -n $command ]] && eval "$command"
}

test_devices() {
  "$GPUVM" devices --tree >"$WORK/tree.log"
  lspci_tree >"$WORK/lspci.log"
  expect "the tree is that of sysfs and lspci" diff "$WORK/lspci.log" "$WORK/tree.log"
  "$GPUVM" devices | tee "$WORK/devices.log"
  expect "it names drivers" grep -q 'driver   snd_hda_intel' "$WORK/devices.log"
  expect "it tells how the GPU would be reset" grep -q 'reset    hot reset.*(of the kernel: bus)' "$WORK/devices.log"
  "$GPUVM" devices --json >"$WORK/devices.json"
  expect "JSON is JSON" perl -MJSON::PP -e 'local $/; decode_json(<STDIN>)' <"$WORK/devices.json"

  echo the-lab-of-mary >/proc/sys/kernel/hostname
  "$GPUVM" devices --save "$WORK/host.json"
  "$GPUVM" devices --snapshot "$WORK/host.json" --tree >"$WORK/saved.log"
  expect "saved, it is the same host" diff "$WORK/tree.log" "$WORK/saved.log"
  expect "and its GPUs have the same verdicts" diff <("$GPUVM" devices --gpu --snapshot "$WORK/host.json" | grep -v '^# ') \
    <("$GPUVM" devices --gpu | grep -v '^# ')
  expect_not "no serial number and no name of the host is in it" grep -qF mary "$WORK/host.json"
}

# The entries that are printed for the GPU, as they are.
test_pasted_entry() {
  "$GPUVM" devices --gpu | awk -v gpu="$GPU" '/^# / { on = index($0, gpu) } on' | tee "$WORK/entry.log"
  make_guest pasted show_drivers <"$WORK/entry.log"
  checked pasted 0 "$WORK/pasted.toml"
  cat "$WORK/pasted.log"
  run_guest pasted
  expect "a guest with the pasted entry: status 0" test "$guest_status" = 0
  expect "it has the GPU" guest_driver 1234:1111 bochs-drm
}

# A domain with two GPUs, a bridge and firmware, made into a configuration; the dry run has this host's addresses and files.
test_converted() {
  local firmware=${LAB_OVMF:-/usr/share/OVMF} status=0
  "$GPUVM" convert -o "$WORK/converted.toml" tests/fixtures/convert/two-gpus.xml 2>"$WORK/converted.log"
  cat "$WORK/converted.toml" "$WORK/converted.log"
  expect "the domain's configuration is valid" "$GPUVM" validate "$WORK/converted.toml"
  expect "the two slots are there" test "$(grep -c '^\[\[pci\]\]' "$WORK/converted.toml")" = 2
  truncate -s 1M "$WORK/converted.img"
  modprobe -a tun bridge
  ip link add VMBridge type bridge
  "$GPUVM" run --dry-run --set machine.cpus=1 --set machine.memory=256MiB \
    --set "pci.0.host=$GPU" --set pci.0.functions=all --set "pci.1.host=$SECOND" --set pci.1.functions=all \
    --set "boot.firmware=$firmware/OVMF_CODE_4M.fd" --set "boot.vars_template=$firmware/OVMF_VARS_4M.fd" \
    --set "boot.vars=$WORK/converted.vars" --set "disk.0.path=$WORK/converted.img" --set disk.0.format=raw "$WORK/converted.toml" >"$WORK/dry.log" 2>&1 || status=$?
  expect "its dry run starts" test "$status" = 0
  [[ $status == 0 ]] || cat "$WORK/dry.log"
  ip link delete VMBridge
}

test_host_lines() {
  checked host 0
  cat "$WORK/host.log"
  local check
  for check in kvm iommu_tables iommu_groups interrupt_remapping vfio_module rights memory_lock huge_pages kernel; do
    expect "a line for $check" line_of host Host PASS "$check" .
  done
  expect "a reset is known for the GPU" line_of host "$GPU" PASS reset_method 'hot reset'
  expect "no colours in a file" eval '! grep -q "$(printf "\033")" "$WORK/host.log"'
  "$GPUVM" check --json >"$WORK/check.json"
  expect "JSON is JSON" perl -MJSON::PP -e 'local $/; decode_json(<STDIN>)' <"$WORK/check.json"
}

test_in_use() {
  local group before node
  before=$(host_state)
  # By a process with its DRM node.
  node=/dev/dri/$(find "/sys/bus/pci/devices/$GPU/drm" -mindepth 1 -maxdepth 1 -name 'card*' -printf '%f')
  exec 9<"$node"
  checked open "$HOST"
  expect "who has the GPU open is named" line_of open "$GPU" FAIL device "check.sh \(pid $$\) holds $node open"
  exec 9<&-
  checked closed 0
  # By another monitor.
  lab-bind "$SECOND"
  group=$(basename "$(readlink "/sys/bus/pci/devices/$SECOND/iommu_group")")
  exec 9<>"/dev/vfio/$group"
  checked group "$HOST"
  expect "who has the group is named" line_of group "$SECOND" FAIL users "check.sh \(pid $$\)"
  "$GPUVM" devices --gpu >"$WORK/used.log"
  expect "devices says so, too" grep -q "IOMMU group $group is in use by check.sh (pid $$)" "$WORK/used.log"
  exec 9<&-
  checked free 0
  echo >"/sys/bus/pci/devices/$SECOND/driver_override"
  echo "$SECOND" >/sys/bus/pci/drivers/vfio-pci/unbind
  # By a frame buffer.
  insmod "$LAB_HOST_USE" address=$(($(awk 'NR == 1 { print $1 }' "/sys/bus/pci/devices/$SECOND/resource"))) bytes=$((1 << 20)) name=simpledrm
  checked framebuffer "$HOST"
  expect "a frame buffer in its BAR is named" line_of framebuffer "$SECOND" FAIL device 'BAR 0 \(simpledrm'
  rmmod host_use
  checked without 0
  echo "$SECOND" >/sys/bus/pci/drivers_probe
  expect "all is as before" state_is "$before"
}

# Each fails, is cured by what is printed, and passes.
test_cures() {
  make_guest cures true <<END
[machine]
memory = "128MiB"
hugepages = "2MiB"
[[pci]]
host = "$GPU"
END
  checked pages "$HOST" "$WORK/cures.toml"
  expect "huge pages are missing" line_of pages Guest FAIL memory 'needs 64 free huge pages'
  expect "the cure for huge pages" carry_out pages 'free huge pages'
  checked pages-cured 0 "$WORK/cures.toml"
  echo 0 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages

  # What the user may not do: a process with a small limit, and without the right to exceed it.
  local got=0
  prlimit --memlock=67108864:unlimited setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
    "$GPUVM" check --set 'machine.hugepages="off"' "$WORK/cures.toml" >"$WORK/lock.log" 2>&1 || got=$?
  expect "check, a limit: status $HOST" test "$got" = "$HOST"
  expect "the limit is told" line_of lock Host FAIL memory_lock 'may lock only 64 MiB'
  # shellcheck disable=SC2016  # $1 is of the shell inside
  expect "the cure for the limit" prlimit --memlock=67108864:unlimited setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
    bash -c "$(grep -o 'ulimit -l [0-9]*' "$WORK/lock.log" | head -n 1)"' && exec "$@"' bash \
    "$GPUVM" check --set 'machine.hugepages="off"' "$WORK/cures.toml"

  # VFIO's module, for a user who cannot load it.
  modprobe -r vfio_pci
  setpriv --reuid=65534 --clear-groups --inh-caps=-all "$GPUVM" check >"$WORK/module.log" 2>&1 || true
  expect "the module is missing" line_of module Host WARN vfio_module 'vfio-pci is not loaded'
  expect "the cure for the module" carry_out module 'vfio-pci is not loaded'
  setpriv --reuid=65534 --clear-groups --inh-caps=-all "$GPUVM" check >"$WORK/module-cured.log" 2>&1 || true
  expect "the module is there" line_of module-cured Host PASS vfio_module 'is loaded'
  expect "without root that is told" line_of module-cured Host WARN rights 'does not run as root'
}

load_host_drivers
test_devices
test_host_lines
test_pasted_entry
test_converted
test_in_use
test_cures
finish
