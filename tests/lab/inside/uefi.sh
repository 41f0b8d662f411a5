#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/uefi.sh"

# Linux lets everybody write variables of this vendor (LINUX_EFI_CRASH_GUID).
VARIABLE=GpuvmTest-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0
PCI='[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"'
KILLS=${LAB_UEFI_KILLS:-6}
before=$(host_state)

# ---- Files that cannot be used: told before anything is touched.

everything() { (cd "$WORK/vars" && find . -type f -exec md5sum {} + | sort); }

# refused WHAT TEXT OPTION…: gpuvm run ends with status 78 and one line that has the text; no file changes. CONFIG and STATUS
# replace the guest plain and the status.
refused() {
  local what=$1 text=$2 status=0 wanted=${STATUS:-78} files
  shift 2
  files=$(everything)
  "$GPUVM" run -q --set name=refused "$WORK/${CONFIG:-plain}.toml" "${UEFI[@]}" "$@" >"$WORK/stdout" 2>"$WORK/stderr" </dev/null || status=$?
  cat "$WORK/stderr"
  expect "$what: exit status $wanted" test "$status" = "$wanted"
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
  refused "read-only VARS" 'a read-only file system' --set "boot.vars=$WORK/read-only/guest.vars"
  head -c 100000 "$TEMPLATE" >"$WORK/vars/short.vars"
  head -c 1000000 "$FIRMWARE" >"$WORK/vars/short.code"
  refused "VARS cut short" 'short.vars is no UEFI variable store (its header states another size)' --set "boot.vars=$WORK/vars/short.vars"
  refused "CODE cut short" 'do not go together' --set "boot.firmware=$WORK/vars/short.code"
  refused "a folder as CODE" 'not a regular file but a directory' --set "boot.firmware=$WORK"
  refused "a folder as VARS" 'Is a directory' --set "boot.vars=$WORK"
  refused "no template" 'missing.fd' --set boot.vars_template=missing.fd
  refused "a kernel that is none" 'is no EFI program' --set "boot.kernel=$TEMPLATE"
  umount "$WORK/read-only"
}

# Disks are told before the variables' file is made from its template, too.
test_disks() {
  mkdir "$WORK/vars/folder"
  truncate -s 1M "$WORK/vars/disk.img"
  make_guest disk 'read -r go' <<<"[[disk]]
path = \"$WORK/vars/disk.img\""
  CONFIG=disk refused "absent disk" 'There is no .*absent.img' --set "disk.0.path=$WORK/vars/absent.img"
  CONFIG=disk refused "a folder as disk" 'is a directory' --set "disk.0.path=$WORK/vars/folder"
  start_guest disk
  wait_console GUEST-INIT-REACHED 120
  CONFIG=disk STATUS=69 refused "a disk of another guest" 'disk.img is in use by another guest'
  end_guest
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
  kill -STOP "$(monitor_of "$guest")"  # it changes the file otherwise
  refused "VARS of a running guest" 'in use by another guest'
  kill_gpuvm "$guest"
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
  # The host bridge's PCIEXBAR, which this firmware has set, by way of ACPI.
  expect "PCI's configuration space is where this firmware puts it" grep -aq "ECAM \[mem ${LAB_ECAM:-0xb0000000}-" "$WORK/dmesg"
}

# kill_once GUEST: the firmware's boot options change with the disks; it dies while it writes them.
kill_once() {
  local tries=0
  cp "$VARS" "$WORK/vars.before"
  start_guest "$1" "${UEFI[@]}"
  until ! cmp -s "$VARS" "$WORK/vars.before"; do
    tries=$((tries + 1))
    ((tries < 3000)) || break
    sleep 0.02
  done
  sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
  kill_gpuvm "$guest"
  wait "$guest" || true
  cmp -s "$VARS" "$WORK/vars.before" || written=$((written + 1))
}

# Each run starts on what the last kill has left. A store that the firmware rejects it makes anew: the variable that the guest wrote
# before would be missing in the next test.
test_kills() {
  local i written=0
  truncate -s 1M "$WORK/vars/disk.img"
  make_guest without true </dev/null
  make_guest with true <<<"[[disk]]
path = \"$WORK/vars/disk.img\""
  sed -i '/^\(kernel\|initrd\|cmdline\) = /d' "$WORK/with.toml" "$WORK/without.toml"
  for ((i = 0; i < KILLS / 2; i++)); do
    kill_once with
    kill_once without
  done
  expect "$KILLS times killed while the firmware wrote" test "$written" = "$KILLS"
}

# size_all FUNCTION, in the guest: all ones to the BARs and the ROM of a function that decodes, before any is read back, as Windows
# does; then what was there.
SIZING='
BARS="BASE_ADDRESS_0 BASE_ADDRESS_1 BASE_ADDRESS_2 BASE_ADDRESS_3 BASE_ADDRESS_4 BASE_ADDRESS_5 ROM_ADDRESS"
bars() { setpci -s "$1" $BARS | tr "\n" " "; }
size_all() {
  saved=$(bars "$1")
  setpci -s "$1" COMMAND=3:3
  setpci -s "$1" $(for bar in $BARS; do echo "$bar=ffffffff"; done)
  echo "SIZES $1 $(bars "$1")"
  setpci -s "$1" $(for bar in $BARS; do echo "$bar=${saved%% *}"; saved=${saved#* }; done)
  [ "$(bars "$1")" = "$saved" ] && echo "RESTORED $1"
}
size_all 01:00.0
size_all 01:00.2
size_all 01:00.3
'

test_large_bar() {
  GUEST_INITRD=$LAB_EFI_INITRD make_guest large "$SIZING$REPORT" <<<"$PCI
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
  expect "all BARs sized at once: the GPU" guest_said '^SIZES 01:00.0 ff000008 00000000 fffff000 00000000 00000000 00000000 fffe0001'
  expect "all BARs sized at once: the USB controller" guest_said '^SIZES 01:00.2 ffffc004 ffffffff 00000000 00000000 00000000 00000000 00000000'
  expect "all BARs sized at once: the large one" guest_said '^SIZES 01:00.3 ffffff00 00000000 0000000c fffffffc 00000000 00000000 00000000'
  expect "they are what they were afterwards" test "$(grep -ac '^RESTORED 01:00' "$CONSOLE")" = 3
  expect "the BAR has 16 GiB" test $((end - start + 1)) = $((16 << 30))
}

# exits_to_kernel GUEST: VM exits until the guest's kernel is entered, on fresh variables; those for the lab host's interrupts not
# counted. Seconds on stdout, too.
exits_to_kernel() {
  local stats=/sys/kernel/debug/kvm before
  before=$(($(<$stats/exits) - $(<$stats/irq_exits)))
  start_guest "$1" "${UEFI[@]}" --set "boot.vars=$WORK/vars/$1.vars"
  wait_console KERNEL-ENTERED 150
  exits=$(($(<$stats/exits) - $(<$stats/irq_exits) - before))
  awk -v name="$1" -v a="$started" -v b="$EPOCHREALTIME" -v n="$exits" 'BEGIN { printf "%s: %.1f s, %d exits to the kernel\n", name, b - a, n }'
  end_guest
}

test_large_bar_costs() {
  local without
  GUEST_KERNEL=$LAB_PROBE make_guest small-bars true <<<"$PCI"
  GUEST_KERNEL=$LAB_PROBE make_guest large-bar true <<<"$PCI
[[pci]]
host = \"0000:05:00.0\""
  exits_to_kernel small-bars
  without=$exits
  exits_to_kernel large-bar
  expect "a 16 GiB BAR costs the firmware at most a tenth more exits" test $((exits * 10)) -le $((without * 11))
}

make_guest plain true </dev/null
# LAB_UEFI_TESTS: some of them.
for test in ${LAB_UEFI_TESTS:-test_files test_disks test_gpu test_kills test_large_bar test_large_bar_costs}; do
  $test
done
expect "nothing is left" state_is "$before"
finish
