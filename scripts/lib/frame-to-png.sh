#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# frame-to-png.sh FRAME WIDTH HEIGHT STRIDE PNG: a raw frame of 32-bit XRGB pixels (bytes B, G, R, X) as PNG. Needs perl, netpbm.
set -euo pipefail
perl -e '
  my ($file, $width, $height, $stride) = @ARGV;
  open(my $in, "<:raw", $file) or die "$file: $!\n";
  binmode STDOUT;
  print "P6\n$width $height\n255\n";
  for (1 .. $height) {
    read($in, my $row, $stride) == $stride or die "$file is shorter than $height rows\n";
    my $pixels = substr($row, 0, $width * 4);
    $pixels =~ s/(.)(.)(.)./$3$2$1/gs;
    print $pixels;
  }' "$1" "$2" "$3" "$4" | pnmtopng -quiet >"$5"
