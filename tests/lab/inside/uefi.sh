#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# OVMF sets the timer so often that the lab's emulated processor writes CR8 while an interrupt is pending, which QEMU's
# emulation answers with an abort (docs/lab.md).
echo 200000 >/sys/module/kvm/parameters/min_timer_period_us

FIRMWARE=/usr/share/OVMF/OVMF_CODE_4M.fd
TEMPLATE=/usr/share/OVMF/OVMF_VARS_4M.fd
VARS=$WORK/vars/guest.vars
mkdir "$WORK/vars"
# Linux lets everybody write variables of this vendor (LINUX_EFI_CRASH_GUID).
VARIABLE=GpuvmTest-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0
PCI='[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"'
UEFI=(--set boot.mode=uefi --set "boot.firmware=$FIRMWARE" --set "boot.vars=$VARS" --set "boot.vars_template=$TEMPLATE")
before=$(host_state)

# ---- Files that cannot be used: told before anything is touched.

everything() { (cd "$WORK/vars" && find . -type f -exec md5sum {} + | sort); }

# refused WHAT TEXT OPTION…: gpuvm run ends with status 78 and one line that has the text; no file changes.
refused() {
  local what=$1 text=$2 status=0 files
  shift 2
  files=$(everything)
  "$GPUVM" run -q "$WORK/plain.toml" "${UEFI[@]}" "$@" >"$WORK/stdout" 2>"$WORK/stderr" </dev/null || status=$?
  cat "$WORK/stderr"
  expect "$what: exit status 78" test "$status" = 78
  expect "$what: one line, which says '$text'" grep -cq "^gpuvm: error: .*$text" "$WORK/stderr"
  expect "$what: nothing was written" test "$(everything)" = "$files"
}

test_files() {
  local good=$WORK/vars/good.vars
  cp "$TEMPLATE" "$good"
  mkdir "$WORK/read-only"
  cp "$TEMPLATE" "$WORK/read-only/guest.vars"
  mount --bind "$WORK/read-only" "$WORK/read-only"
  mount -o remount,bind,ro "$WORK/read-only"
  head -c 65536 /dev/urandom >"$WORK/vars/noise"
  refused "no firmware" 'missing.fd' --set boot.firmware=missing.fd
  refused "firmware that is none" 'noise is no UEFI firmware volume' --set "boot.firmware=$WORK/vars/noise"
  refused "CODE and VARS swapped" 'holds variables, not firmware code' --set "boot.firmware=$good" --set "boot.vars=$FIRMWARE"
  refused "CODE as VARS" 'holds firmware code, not variables' --set "boot.vars_template=$FIRMWARE"
  refused "files of two builds" 'do not go together' --set "boot.firmware=${FIRMWARE/_4M/}" --set "boot.vars=$good"
  refused "template of another build" 'do not go together' --set "boot.vars_template=${TEMPLATE/_4M/}"
  refused "VARS that are none" 'noise is no UEFI variable store' --set "boot.vars=$WORK/vars/noise"
  refused "read-only VARS" 'is read-only' --set "boot.vars=$WORK/read-only/guest.vars"
  refused "a folder as VARS" 'Is a directory' --set "boot.vars=$WORK"
  refused "no template" 'missing.fd' --set boot.vars_template=missing.fd
  refused "a kernel that is none" 'is no EFI program' --set "boot.kernel=$TEMPLATE"
  umount "$WORK/read-only"
}

# ---- Guests

# The guest writes the variable and reboots when it is not there; otherwise it shows it and powers off.
REPORT='
echo "EFI $(cat /sys/firmware/efi/fw_platform_size)"
modprobe efivarfs
mount -t efivarfs none /sys/firmware/efi/efivars
V=/sys/firmware/efi/efivars/'$VARIABLE'
echo "UPTIME $(cut -d" " -f1 /proc/uptime)"
if [ ! -e $V ]; then
  printf "\\007\\000\\000\\000%s" kept >$V
  echo "WRITTEN $(od -An -v -tx1 $V | tr -d " \n")"
  reboot -f
  sleep 1000
fi
echo "VARIABLE $(od -An -v -tx1 $V | tr -d " \n")"
show_drivers
for device in /sys/bus/pci/devices/*; do
  sed "s|^|RESOURCE ${device##*/} |" $device/resource | grep -v "0x0000000000000000 0x0000000000000000"
done
show_dmesg'

# kill_while_writing: a first run on fresh variables that dies while the firmware writes them.
kill_while_writing() {
  local tries=0
  start_guest gpu "${UEFI[@]}"
  until [[ -s $VARS ]] && ! cmp -s "$VARS" "$TEMPLATE"; do
    tries=$((tries + 1))
    ((tries < 600)) || break
    sleep 0.05
  done
  expect "the firmware writes its variables" not cmp -s "$VARS" "$TEMPLATE"
  kill -STOP "$guest"  # it changes the file otherwise
  refused "VARS of a running guest" 'in use by another guest'
  kill -9 "$guest"
  wait "$guest" || true
}

# The addresses that the kernel found (the firmware's) are those that it kept: no resource was moved.
check_addresses() {
  local found moved=0
  found=$(grep -aoE 'pci [0-9a-f:.]+: BAR [0-9] \[mem 0x[0-9a-f]+' "$WORK/dmesg" | sort -u)
  expect "$1: the kernel found BARs with addresses" test "$(wc -l <<<"$found")" -ge "$2"
  while read -r _ bdf _ number _ address; do
    printf -v address '%016x' "0x${address#0x}"
    grep -aq "^RESOURCE ${bdf%:} 0x$address" "$CONSOLE" || { moved=1; echo "$bdf BAR $number: not at $address any more"; }
  done < <(tr '[' ' ' <<<"$found")
  expect "$1: Linux keeps the addresses that the firmware gave" test "$moved" = 0
}

# As check_dmesg, less what OVMF does on every machine: it leaves expansion ROMs at their sizing value after it has read them.
check_uefi_dmesg() {
  sed -i '/ROM \[mem 0x[0-9a-f]* *-0x[0-9a-f]* pref\]: can.t claim/d' "$CONSOLE"
  check_dmesg
}

test_gpu() {
  make_guest gpu "$REPORT" <<<"$PCI"
  kill_while_writing
  cp "$CONSOLE" "$WORK/killed.console"
  start_guest gpu "${UEFI[@]}"
  wait_guest 200
  expect "after the kill: a reboot and a power off through the firmware's tables, status 0" test "$guest_status" = 0
  expect "the guest ran twice" said_times GUEST-INIT-REACHED 2
  expect "there is /sys/firmware/efi, 64 bits" guest_said '^EFI 64'
  expect "a variable was written before the reboot" guest_said '^WRITTEN 070000006b657074'
  expect "it was there after the reboot" guest_said '^VARIABLE 070000006b657074'
  expect "the GPU has its driver" guest_driver 1234:1111 bochs-drm
  expect "the USB controller has its driver" guest_driver 1033:0194 xhci_hcd
  check_uefi_dmesg
  check_addresses "GPU and USB" 3
}

test_large_bar() {
  GUEST_INITRD=$LAB_EFI_INITRD make_guest large "$REPORT" <<<"$PCI
[[pci]]
host = \"0000:05:00.0\""
  start_guest large "${UEFI[@]}"
  wait_console '^UPTIME' 150
  awk -v a="$started" -v b="$EPOCHREALTIME" -v up="$(grep -a '^UPTIME' "$CONSOLE" | tr -dc '0-9. ')" \
    'BEGIN { printf "%.1f s from start to kernel with a 16 GiB BAR\n", b - a - up }'
  wait_guest 150
  expect "16 GiB BAR: power off, status 0" test "$guest_status" = 0
  expect "the variable is there in the next run" guest_said '^VARIABLE 070000006b657074'
  check_uefi_dmesg
  check_addresses "16 GiB BAR" 4
  local start end
  read -r _ _ start end _ < <(grep -a '^RESOURCE 0000:01:00.3 0x00000[0-9a-f]*0000000 ' "$CONSOLE" | tail -n 1)
  expect "the BAR has 16 GiB" test $((end - start + 1)) = $((16 << 30))
}

make_guest plain true </dev/null
test_files
test_gpu
test_large_bar
expect "nothing is left" state_is "$before"
finish
