#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# flushed.pl IMAGE BLOCKS LAST: whether an image that tests/lab/guest/flush_writer.c wrote to holds all that was flushed up to the
# number LAST: each block is whole, or was being written when the end came, and is as new as the last flush made it.
use strict;
use warnings;

my ($image, $blocks, $last) = @ARGV;
my $block_size = 4096;
open my $file, '<:raw', $image or die "$image: $!\n";
my ($lost, $torn, $newer) = (0, 0, 0);
for my $number ($last - $blocks + 1 .. $last) {
  next if $number < 1;
  my $place = $number % $blocks;
  seek $file, $place * $block_size, 0;
  my $bytes;
  my $got = read $file, $bytes, $block_size;
  die "block $place cannot be read\n" if !defined $got || $got != $block_size;
  my %numbers = map { $_ => 1 } unpack 'Q<*', $bytes;
  for my $found (keys %numbers) {
    # A block that is written once more while the end comes may be half the old, flushed one and half the new one.
    $lost++ if $found < $number || $found % $blocks != $place;
    $newer++ if $found > $number;
  }
  $torn++ if keys %numbers > 1;
}
print "$last flushed, $lost lost, $newer newer, $torn torn\n";
exit($lost ? 1 : 0);
