#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# watch_cards.pl FOLDER: one line for each change of gpuvm's files of cards and of the queue for them, in the order in which the kernel
# tells of them (inotify(7)): "SECONDS NAME has OWNER", where OWNER is a guest's name, and "SECONDS NAME is gone". Until it is killed.
use strict;
use warnings;
use Time::HiRes 'time';

use constant {SYS_INOTIFY_INIT => 253, SYS_INOTIFY_ADD_WATCH => 254};    # x86-64
use constant {IN_MODIFY => 0x2, IN_CREATE => 0x100, IN_DELETE => 0x200, IN_Q_OVERFLOW => 0x4000};

my $folder = shift or die "which folder?\n";
my $number = syscall SYS_INOTIFY_INIT;
$number >= 0 && syscall(SYS_INOTIFY_ADD_WATCH, $number, $folder, IN_MODIFY | IN_CREATE | IN_DELETE) >= 0
  or die "cannot watch $folder: $!\n";
open my $events, '<&=', $number or die "$!\n";
$| = 1;
print "READY\n";
my %owners;

# The file's owner; undef: it is gone, or nothing is in it yet.
sub owner_of {
  open my $file, '<', "$folder/$_[0]" or return undef;
  local $/;
  my $text = <$file>;
  return defined $text && $text =~ /^owner=the guest (.*)$/m ? $1 : undef;
}

sub note {
  my ($mask, $name) = @_;
  die "events were lost\n" if $mask & IN_Q_OVERFLOW;
  return if $name !~ /\.state$|^ticket-/;
  my $now = sprintf '%.3f', time;
  if ($mask & IN_DELETE) {
    delete $owners{$name};
    print "$now $name is gone\n";
  } elsif (defined(my $owner = owner_of($name))) {
    print "$now $name has $owner\n" if ($owners{$name} // '') ne $owner;
    $owners{$name} = $owner;
  }
}

while (sysread $events, my $bytes, 1 << 16) {
  while (length $bytes) {
    my (undef, $mask, undef, $length) = unpack 'iIII', substr $bytes, 0, 16, '';
    note($mask, unpack 'Z*', substr $bytes, 0, $length, '');
  }
}
