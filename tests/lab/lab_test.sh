#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows that the lab itself works: exit statuses, timeout, output, pictures, IOMMU groups, and a QEMU guest in it that drives
# a passed-through GPU and a USB controller. Takes a few minutes under emulation.
set -euo pipefail
unset LAB_SLOWNESS # time limits are a part of what is tested

repo=$(cd "$(dirname "$0")/../.." && pwd)
lab=$repo/scripts/lab
cd "$repo"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# check NAME COMMAND…: one line for each check.
check() {
  local name=$1
  shift
  if "$@"; then
    printf 'ok      %s\n' "$name"
  else
    printf 'FAILED  %s\n' "$name"
    failures=$((failures + 1))
  fi
}

contains() { grep -qF -- "$1" "$2"; }

status_is() {
  local wanted=$1 status=0
  shift
  "$@" >"$work/output" 2>"$work/errors" || status=$?
  [[ $status == "$wanted" ]]
}

is_png() { [[ $(head -c 4 "$1" | od -An -c | tr -d ' ') == '211PNG' ]]; }

# Of those that wrote here.
none_left() { ! pgrep -f -- "-name gpuvm-lab.*$work" >/dev/null; }

# Asked inside the lab host; prints NAME=VALUE lines.
facts_in_lab() {
  cat <<'END'
gpu=/sys/bus/pci/devices/0000:01:00.0
echo "kvm=$(test -c /dev/kvm && echo yes)"
echo "vfio=$(test -c /dev/vfio/vfio && echo yes)"
echo "groups=$(($(ls /sys/kernel/iommu_groups | wc -l) > 5))"
echo "gpu_group=$(ls $gpu/iommu_group/devices | tr '\n' ' ')"
echo "usb_group=$(ls /sys/bus/pci/devices/0000:02:00.0/iommu_group/devices | tr '\n' ' ')"
echo "gpu_reset=$(cat $gpu/reset_method)"
echo "keeper=$(pidof keeper >/dev/null && echo yes)"
echo "variables=$LAB $LAB_ECHO $PWD"
echo to-standard-error >/dev/stderr
echo survives >$LAB_OUT/result
lab-screenshot picture.png
# A request that comes in two pieces, as it may look to a reader on a busy machine.
exec 8<>/dev/virtio-ports/lab.control
printf 'screenshot ha' >&8
sleep 6
printf 'lves.png gpu\n' >&8
read -r -t 60 answer <&8
echo "halves=$answer"
END
}

check_plain_runs() {
  check 'exit status 0' status_is 0 "$lab" --devices none -- true
  check 'timeout gives 124' status_is 124 env LAB_SLOWNESS=200 "$lab" --devices none --timeout 4 -- sleep 100
  check 'the timeout is explained, and longer on a slow machine' contains 'stopped after 8 s' "$work/errors"
  check 'a wrong call gives 2' status_is 2 "$lab" --devices nonsense -- true
  check 'two devices with one address give 2' status_is 2 "$lab" --devices vgpu,vgl -- true
  check 'a QEMU of an unknown release gives 2' status_is 2 "$lab" --devices none --qemu potato -- true
}

check_facts() {
  local fact
  check 'exit status 7' status_is 7 env LAB_ECHO=passed "$lab" --devices gpu,usb --out "$work/out" \
    --screenshot "$work/copy.png" -- bash -c "$(facts_in_lab)"$'\nexit 7'
  for fact in kvm=yes vfio=yes groups=1 'gpu_group=0000:01:00.0 0000:01:00.1 ' 'usb_group=0000:02:00.0 ' gpu_reset=bus \
    keeper=yes halves=ok "variables=1 passed $PWD" to-standard-error; do
    check "$fact" contains "$fact" "$work/output"
  done
  check 'LAB_OUT survives' contains survives "$work/out/result"
  check 'lab-screenshot writes PNG' is_png "$work/out/picture.png"
  check '--screenshot copies it' is_png "$work/copy.png"
}

check_two_cpus() {
  check 'a lab host with two CPUs' status_is 0 "$lab" --cpus 2 --devices none -- bash -c 'echo "cpus=$(nproc)"'
  check 'cpus=2' contains cpus=2 "$work/output"
}

# The emulator once lost interrupts: without the plugin of scripts/lib/lab-qemu-plugin.c the lab host hangs in the first seconds.
check_interrupts() {
  cc -static -O1 -Wall -Wextra -Werror -pthread -o "$work/window_storm" tests/lab/host/window_storm.c
  check 'no interrupt is lost' status_is 0 "$lab" --devices none --timeout 60 -- "$work/window_storm" 10
}

# Runs a guest under QEMU in the lab; it reports what drives its devices, and what the stick's sector 5 says.
check_guest() {
  local kernel=$1 script fact
  "$repo/scripts/guest-image" --kernel "$kernel" --out "$repo/build/lab/guest-$kernel.cpio.gz"
  # shellcheck disable=SC2016 # the guest expands it
  script='n=0; until [ -e /dev/sda ] || [ $n = 100 ]; do n=$((n+1)); usleep 100000; done
ls -l /sys/bus/pci/drivers/bochs-drm | grep -q 0000: && echo GPU-BOUND
ls /dev/fb0 /dev/dri/card0 && echo GPU-NODES
dd if=/dev/sda bs=512 skip=5 count=1 2>/dev/null | grep -q "LAB-USB sector 00000005" && echo USB-READS
lspci -n -s 11.0; exit 3'
  check "guest $kernel runs" status_is 0 "$lab" --devices gpu,usb --out "$work/guest" -- "$repo/scripts/lib/peer-qemu.sh" \
    --kernel "$("$lab" --print-kernel "$kernel")" --initrd "$repo/build/lab/guest-$kernel.cpio.gz" \
    --append "guest.run=$(base64 -w0 <<<"$script")" --console "$work/guest/console" --wait \
    0000:01:00.0 0000:01:00.1 0000:02:00.0
  sed "s/^/        $kernel: /" "$work/output"
  check "guest $kernel: exit status of its command" contains guest_exit=3 "$work/output"
  for fact in GUEST-INIT-REACHED GPU-BOUND GPU-NODES USB-READS '1234:1111'; do
    check "guest $kernel: $fact" contains "$fact" "$work/guest/console"
  done
}

check_plain_runs
check_facts
check_two_cpus
check_interrupts
for kernel in "${@:-6.12}"; do
  check_guest "$kernel"
done
check 'nothing is left running' none_left
if ((failures)); then
  printf '%d checks failed\n' "$failures"
  exit 1
fi
echo "all checks passed"
