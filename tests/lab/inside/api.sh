#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

load_host_drivers
before=$(host_state)
# Answers each line that is typed, so that it shows whether it is held.
make_guest main '
stty -echo
echo UP
while read -r word && [ "$word" != off ]; do echo "<$word>"; done
' <<END
[[pci]]
host = "0000:01:00.0"
END

SOCKET=/run/gpuvm/main.sock
ask() { curl -sS --max-time 30 --unix-socket "$SOCKET" "$@"; }
code() { ask -o /dev/null -w '%{http_code}' "$@"; }
descriptors() { find "/proc/$(monitor_of "$guest")/fd" -mindepth 1 | wc -l; }
viewers() { ask http://gpuvm/v1/metrics | sed -n 's/^gpuvm_control_connections{.*} //p'; }
# settled: the attackers' connections are gone; this question is the only one.
settled() {
  local i
  for ((i = 0; i < 100; i++)); do
    [[ $(viewers) == 1 ]] && return 0
    pause 0.2
  done
  return 1
}

start_guest main
wait_console '^UP' 300
expect "the socket is root's alone" test "$(stat -c %a "$SOCKET")" = 600
expect "GET /v1/vm" test "$(code http://gpuvm/v1/vm)" = 200
expect "it says what runs" grep -q '"state":"running"' <(ask http://gpuvm/v1/vm)
expect "its device is there" grep -q '"bdf":"0000:01:00.0"' <(ask http://gpuvm/v1/vm)
expect "metrics: exits are counted" grep -Eq '^gpuvm_vcpu_emulated_exits_total\{vm="main",vcpu="0",kind="port"\} [1-9]' \
  <(ask http://gpuvm/v1/metrics)
expect "metrics: the reset of the start" grep -Eq '^gpuvm_device_resets_total\{vm="main",device="[^"]*0000:01:00.0[^"]*",reason="start"' \
  <(ask http://gpuvm/v1/metrics)
expect "a path that is not there" test "$(code http://gpuvm/v2)" = 404
expect "a method that is not there" test "$(code -X DELETE http://gpuvm/v1/vm)" = 405
expect "a resume of what is not paused" test "$(code -X PUT http://gpuvm/v1/vm/resume)" = 409
expect "a header of 9000 bytes" test "$(code -H "X: $(printf '%9000s' x | tr ' ' x)" http://gpuvm/v1/vm)" = 431
head -c 100M /dev/zero >"$WORK/zeros"
expect "a body of 100 MiB" test "$(code -X PUT -H Expect: --data-binary @"$WORK/zeros" http://gpuvm/v1/vm/pause || true)" = 413
rm "$WORK/zeros"

# A second guest of this name.
status=0
"$GPUVM" run "$WORK/main.toml" <&"$nothing" >"$WORK/second.log" 2>&1 || status=$?
expect "a second guest of this name: status 69" test "$status" = 69
expect "and which process has it" grep -q "main.sock (pid $(monitor_of "$guest"))" "$WORK/second.log"
expect "the guest's process is the one that was started" grep -q "\"pid\":$guest," <(ask http://gpuvm/v1/vm)

expect "nobody else asks" settled
open=$(descriptors)
# Connections that say nothing, a half, nonsense, or ask for a stream and do not read; 32 are served at a time.
perl -MIO::Socket::UNIX -e '
  $SIG{PIPE} = "IGNORE";
  my @says = ("", "GET /v1/vm HT", "\0" x 100 . "\r\n\r\n", "GET /v1/events?replay=1 HTTP/1.1\r\n\r\n",
    "GET /v1/console HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: gpuvm-console\r\n\r\n",
    "PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "GET /v1/inspect HTTP/1.1\r\n\r\n" x 50);
  my (@held, $made, $refused);
  for my $i (1 .. 1000) {
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or next;
    $made++;
    $socket->blocking(0);
    syswrite $socket, $says[$i % @says];
    push @held, $socket;
    shift @held if @held > 100;
  }
  sleep 1;
  for my $socket (@held) { sysread($socket, my $text, 4096); $refused++ if ($text // "") =~ m{^HTTP/1.1 503 } }
  print "made $made refused ", $refused // 0, "\n";
' "$SOCKET" >"$WORK/attack"
cat "$WORK/attack"
expect "a thousand connections were made" grep -q '^made 1000 ' "$WORK/attack"
expect "those above the limit were refused" grep -Eq 'refused [1-9]' "$WORK/attack"
expect "their connections are gone" settled
expect "gpuvm has as many descriptors as before" test "$(descriptors)" = "$open"
type_line still
expect "the guest answers" wait_console '^<still>' 30
expect "and is not paused" grep -q '"state":"running"' <(ask http://gpuvm/v1/vm)

# While somebody reads nothing, the guest prints as before.
perl -MIO::Socket::UNIX -e '
  my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
  syswrite $socket, "GET /v1/console HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: gpuvm-console\r\n\r\n";
  sleep 600' "$SOCKET" &
stuck=$!
for i in 1 2 3; do
  type_line "word$i"
  expect "a reader that does not read: the guest answers" wait_console "^<word$i>" 30
done
kill "$stuck"
wait "$stuck" || true

ask -N 'http://gpuvm/v1/events?replay=1' >"$WORK/events" &
reader=$!
expect "PUT /v1/vm/stop" test "$(code -X PUT http://gpuvm/v1/vm/stop)" = 204
wait_guest 60
expect "the run ends well" test "$guest_status" = 0
status=0
wait "$reader" || status=$?
expect "the stream of events ends well" test "$status" = 0
expect "it has the reset's certificate" grep -q '"event":"reset","reason":"stop"' "$WORK/events"
expect "and the last event" grep -q '"to":"stopped"' "$WORK/events"
expect "the socket is gone" test ! -e "$SOCKET"
expect "the host is as before" state_is "$before"
finish
