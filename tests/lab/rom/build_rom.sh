#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build_rom.sh VENDOR DEVICE IMAGE_DEVICE FILE: an option ROM with gop_driver.c for the function VENDOR:DEVICE (hexadecimal). Its
# PCI data structure names IMAGE_DEVICE, the id of the hardware that carries it. (PCI Firmware Specification 3.3, 5.1; UEFI
# 2.10, 14.4.2.)
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
vendor=$1 device=$2 image_device=$3 file=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clang -target x86_64-unknown-windows -ffreestanding -fno-builtin -fno-stack-protector -fshort-wchar -mno-red-zone \
  -mgeneral-regs-only -Os -Wall -Wextra -Werror "-DGOP_VENDOR=0x$vendor" "-DGOP_DEVICE=0x$device" -c -o "$work/gop.obj" "$here/gop_driver.c"
lld-link -subsystem:efi_boot_service_driver -nodefaultlib -entry:efi_main "-out:$work/gop.efi" "$work/gop.obj"
perl -e '
  use strict;
  my ($vendor, $device) = map { hex } @ARGV;
  my $driver = do { local $/; binmode STDIN; <STDIN> };
  my ($data, $image) = (0x1c, 0x40);
  my $units = int(($image + length($driver) + 511) / 512);
  my $rom = pack "S< S< L< S< S< S< x8 S< S< x2", 0xaa55, $units, 0x0ef1, 0x0b, 0x8664, 0, $image, $data;
  # Length 28, revision 3, class 030000; code type 3 (EFI), the last image.
  $rom .= pack "a4 S< S< S< S< C C3 S< S< C C S< S< S<", "PCIR", $vendor, $device, 0, 28, 3, 0, 0, 3, $units, 0, 3, 0x80, 0, 0, 0;
  $rom .= "\0" x ($image - length $rom) . $driver;
  binmode STDOUT;
  print $rom, "\0" x ($units * 512 - length $rom)' "$vendor" "$image_device" <"$work/gop.efi" >"$file.tmp"
mv "$file.tmp" "$file"
