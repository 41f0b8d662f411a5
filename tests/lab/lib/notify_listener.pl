#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A service manager's notify socket (sd_notify(3)): prints each notification as a line, with the seconds since its start and " | " between
# the notification's own lines. notify_listener.pl PATH
use strict;
use warnings;
use IO::Socket::UNIX;
use Socket;
use Time::HiRes 'time';

$| = 1;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die "cannot listen at $ARGV[0]: $!\n";
my $start = time;
while (defined $socket->recv(my $text, 65536)) {
  printf "%.1f %s\n", time - $start, $text =~ s/\n/ | /gr;
}
