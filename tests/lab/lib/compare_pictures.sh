#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# compare_pictures.sh PICTURE.ppm REFERENCE.png DIFFERENCE SHARE: both have the same size, and at most the SHARE (0 to 1) of the
# pixels differs by more than DIFFERENCE (of 255) in a colour.
set -euo pipefail

reference=$(mktemp)
trap 'rm -f "$reference"' EXIT
pngtopnm "$2" | ppmtoppm >"$reference"
perl - "$1" "$reference" "$3" "$4" <<'END_OF_PERL'
  use strict;
  sub picture {
    open my $file, "<:raw", $_[0] or die "$_[0]: $!\n";
    my $bytes = do { local $/; <$file> };
    $bytes =~ s/^P6\s(\d+)\s(\d+)\s255\s// or die "$_[0] is no PPM picture of 8 bits\n";
    return ($1, $2, $bytes);
  }
  my ($width, $height, $pixels) = picture($ARGV[0]);
  my @reference = picture($ARGV[1]);
  "$width $height" eq "$reference[0] $reference[1]" or die "${width}x$height pixels in place of $reference[0]x$reference[1]\n";
  my ($limit, $differing) = ($ARGV[2], 0);
  for (my $i = 0; $i < length $pixels; $i += 3) {
    my ($ours, $theirs) = (substr($pixels, $i, 3), substr($reference[2], $i, 3));
    next if $ours eq $theirs;
    my @a = unpack "C3", $ours;
    my @b = unpack "C3", $theirs;
    $differing++ if grep { abs($a[$_] - $b[$_]) > $limit } 0 .. 2;
  }
  my $share = $differing / ($width * $height);
  printf "%d of %d pixels differ, %.4f\n", $differing, $width * $height, $share;
  exit($share <= $ARGV[3] ? 0 : 1);
END_OF_PERL
