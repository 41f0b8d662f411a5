#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A control socket of a guest that is not there: answers as gpuvm would, and notes what it was asked.
# Usage: fake_guest.pl SOCKET NAME LOG
use strict;
use warnings;
use IO::Socket::UNIX;
my ($path, $name, $log) = @ARGV;
$SIG{PIPE} = 'IGNORE';
alarm 50;
my $server = IO::Socket::UNIX->new(Local => $path, Listen => 16) or die "$path: $!\n";
open(my $notes, '>>', $log) or die "$log: $!\n";
$notes->autoflush(1);

sub answer {
  my ($client, $status, $body) = @_;
  print $client "HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
}

while (my $client = $server->accept) {
  my $request = '';
  until ($request =~ /\r\n\r\n/) { sysread($client, $request, 4096, length $request) or last }
  my ($asked) = $request =~ /^(\S+ \S+) HTTP/ or next;
  print $notes "$asked\n";
  if ($asked eq 'GET /v1/vm') {
    answer($client, '200 OK', qq({"name":"$name","state":"running","pid":$$,"uptime_s":75,"cpus":2,)
        . qq("memory_bytes":536870912,"devices":[{"bdf":"0000:01:00.0","driver":"vfio-pci"}],"lives":1}));
  } elsif ($asked eq 'GET /v1/inspect') {
    answer($client, '200 OK', '{"memory":{"size":"512 MiB"},"state":"running"}');
  } elsif ($asked eq 'GET /v1/metrics') {
    answer($client, '200 OK', qq(# TYPE gpuvm_up gauge\ngpuvm_up{guest="$name"} 1\n# \e[2J\n));
  } elsif ($asked eq 'GET /v1/events?replay=1') {
    print $client "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{\"event\":\"state\"}\n\r\n";
    $client->flush;
    # The end of this connection, as the client's side has it.
    sysread($client, my $nothing, 1);
  } elsif ($asked eq 'PUT /v1/vm/resume') {
    answer($client, '409 Conflict', '{"error":"The guest is running, not paused"}');
  } elsif ($asked eq 'PUT /v1/vm/reset') {
    answer($client, '403 Forbidden', '{"error":"not you"}');
  } elsif ($asked eq 'GET /v1/console') {
    print $client "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: gpuvm-console\r\n\r\nlogin: ";
    $client->flush;
    sysread($client, my $typed, 4096);
    print $client "[$typed]";
  } elsif ($asked eq 'PUT /v1/vm/stop') {
    unlink $path;
    print $client "HTTP/1.1 204 No Content\r\n\r\n";
    exit 0;
  } else {
    print $client "HTTP/1.1 204 No Content\r\n\r\n";
  }
}
