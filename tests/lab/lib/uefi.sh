# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the lab tests of boot.mode = "uefi" share, after inside.sh: the firmware's files and the options that choose them. Sourced.

FIRMWARE=${LAB_OVMF:-/usr/share/OVMF}/OVMF_CODE_4M.fd
TEMPLATE=${LAB_OVMF:-/usr/share/OVMF}/OVMF_VARS_4M.fd
VARS=$WORK/vars/guest.vars
mkdir "$WORK/vars"
UEFI=(--set boot.mode=uefi --set "boot.firmware=$FIRMWARE" --set "boot.vars=$VARS" --set "boot.vars_template=$TEMPLATE")

# As check_dmesg, less what OVMF does on every machine: it leaves expansion ROMs at their sizing value after it has read them.
check_uefi_dmesg() {
  sed -i '/ROM \[mem 0x[0-9a-f]* *-0x[0-9a-f]* pref\]: can.t claim/d' "$CONSOLE"
  check_dmesg
}
