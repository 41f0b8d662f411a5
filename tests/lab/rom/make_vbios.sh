#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make_vbios.sh VENDOR DEVICE VERSION FILE: a VBIOS without code that nouveau or amdgpu takes for one, with a version that they print.
# VENDOR 10de: VERSION is "86.07.11.22.33", of two hexadecimal digits each. VENDOR 1002: "113-NAME-N"; from Linux
# 7 on amdgpu prints the build's number in its place, which ends with N.
# PCI Firmware Specification 3.3, 5.1: header and PCI data structure. NVIDIA's BIOS Information Table has one entry, "i", which leads
# to the version (Linux, drivers/gpu/drm/nouveau/nvkm/subdev/bios). AMD's ATOM BIOS has a header, tables without contents, strings and
# firmware information (Linux, drivers/gpu/drm/amd/amdgpu/atom.c and atombios.h).
set -euo pipefail

perl - "$@" <<'END_OF_PERL'
  use strict;
  my ($vendor, $device) = map { hex } @ARGV[0, 1];
  my ($version, $file) = @ARGV[2, 3];
  my $size = 0x2400;  # nouveau wants 4096 bytes at least
  my $rom = "\0" x $size;
  sub put { my ($at, $bytes) = @_; substr($rom, $at, length $bytes) = $bytes }
  sub sum { unpack "%8C*", $_[0] }
  put(0, pack "S< C C", 0xaa55, $size / 512, 0xcb);
  put(0x18, pack "S<", 0x1c0);
  # Length 24, class 030000, code revision 1, code type 0, the last image.
  put(0x1c0, pack "a4 S< S< S< S< C a3 S< S< C C S<", "PCIR", $vendor, $device, 0, 24, 0, "\0\0\3", $size / 512, 1, 0, 0x80, 0);

  sub nvidia {
    # Version 1.0, a header of 12 bytes, entries of 6, one entry; byte 11 makes the header's sum 0.
    put(0x200, pack "S< a4 S< C C C C", 0xb8ff, "BIT\0", 0x0100, 12, 6, 1, 0);
    put(0x20b, pack "C", -sum(substr $rom, 0x200, 12) & 0xff);
    put(0x20c, pack "a C S< S<", "i", 2, 0x20, 0x300);
    my ($major, $chip, $minor, $micro, $patch) = map { hex } split /\./, $version;
    put(0x300, pack "C5", $micro, $minor, $chip, $major, $patch);
  }
  sub amd {
    put(0x30, " 761295520");
    put(0x2f, pack "C", 4);         # strings
    put(0x6e, pack "S<", 0x220);    # where
    put(0x48, pack "S<", 0x100);    # ROM header
    put(0x50, "11/29/25 15:00");
    put(0x100, pack "S< C C a4", 0x24, 1, 1, "ATOM");
    put(0x110, pack "S<", 0x300);   # the message at boot
    put(0x118, pack "S< S<", $vendor, $device);
    put(0x11e, pack "S< S<", 0x400, 0x500);  # lists of commands and of data
    put(0x220, join "", map { "$_\0" } $version, "POLARIS10", "PCI_EXPRESS", "GDDR5", "\r\nFAKE CARD");
    put(0x300, "\r\n$version\0");
    my ($number) = $version =~ /(\d*)$/;
    put(0x340, sprintf("ATOMBIOSBK-AMD VER015.050.000.000.%06d\0", $number || 0));
    put(0x400, pack "S< C C", 0xa6, 1, 1);
    put(0x500, pack "S< C C", 0x48, 1, 1);
    put(0x532, pack "S<", 0x600);
    put(0x600, pack "S< C C", 4, 1, 1);
  }
  $vendor == 0x1002 ? amd() : nvidia();
  put(5, pack "C", -sum($rom) & 0xff);
  open my $out, ">:raw", $file or die "$file: $!\n";
  print $out $rom or die "$file: $!\n";
END_OF_PERL
