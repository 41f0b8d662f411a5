#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check_screen.sh PICTURE.ppm FRAME.xrgb: the picture's pixels must equal the frame's, which is raw 32-bit XRGB
# (bytes B, G, R, X) of the same size.
set -euo pipefail
exec perl - "$1" "$2" <<'END'
  my ($picture, $frame) = map { open(my $file, "<:raw", $_) or die "$_: $!\n"; local $/; <$file> } @ARGV;
  $picture =~ s/^P6\s(\d+)\s(\d+)\s255\s// or die "$ARGV[0] is no PPM picture of 8 bits\n";
  my ($width, $height) = ($1, $2);
  length $frame == $width * $height * 4 or die "$ARGV[1] has not the size of ${width}x$height pixels\n";
  $frame =~ s/(.)(.)(.)./$3$2$1/gs;
  exit 0 if $frame eq $picture;
  my $same = 0;
  $same++ while substr($frame, $same, 1) eq substr($picture, $same, 1);
  die sprintf("the first pixel that differs is (%d, %d)\n", $same / 3 % $width, $same / 3 / $width);
END
