#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# probe-kernel.sh KERNEL FILE: a copy of a Linux bzImage that prints KERNEL-ENTERED on COM1 with its first instructions, and
# halts: what it takes to see the moment at which a monitor or a firmware enters a kernel, with an image of the same size and the
# same headers. All three entries are replaced: the 64-bit one, the EFI handover one and the PE one (Linux,
# Documentation/arch/x86/boot.rst; Microsoft PE/COFF).
set -euo pipefail
exec perl - "$@" <<'END_OF_PERL'
  use strict;
  my ($from, $to) = @ARGV;
  my $kernel = do { local $/; open my $in, "<:raw", $from or die "$from: $!\n"; <$in> };
  sub field { my ($at, $format) = @_; return unpack "x$at $format", $kernel }
  my $text = "KERNEL-ENTERED\n";
  # cli; mov $0x3f8, %edx; mov $length, %ecx; lea text(%rip), %rsi; cld; rep outsb; hlt; jmp to the hlt
  my $code = "\xfa\xba" . pack("V", 0x3f8) . "\xb9" . pack("V", length $text) . "\x48\x8d\x35" . pack("V", 6) . "\xfc\xf3\x6e\xf4\xeb\xfd$text";
  my $protected_mode = (field(0x1f1, "C") + 1) * 512;
  my @entries = ($protected_mode + 0x200);
  field(0x236, "v") & 8 and push @entries, $protected_mode + field(0x264, "V") + 0x200;
  my $pe = field(0x3c, "V");
  my ($sections, $optional_size) = (field($pe + 6, "v"), field($pe + 20, "v"));
  my $entry = field($pe + 24 + 16, "V");
  for my $i (0 .. $sections - 1) {
    my ($size, $address, $raw_size, $raw) = unpack "x8 V4", substr $kernel, $pe + 24 + $optional_size + 40 * $i, 40;
    push @entries, $entry - $address + $raw if $entry >= $address && $entry < $address + $size;
  }
  @entries == 3 or die "$from has no handover entry or no PE entry\n";
  substr($kernel, $_, length $code) = $code for @entries;
  open my $out, ">:raw", $to or die "$to: $!\n";
  print $out $kernel;
  close $out or die "$to: $!\n";
END_OF_PERL
