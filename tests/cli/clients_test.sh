#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The verbs that steer and watch guests, at the control socket of a guest that is not there.
# Usage: clients_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
command -v perl >/dev/null || exit 77
folder=$(mktemp -d) || exit 1
guest=
trap '[ -z "$guest" ] || kill "$guest" 2>/dev/null; rm -rf "$folder"' EXIT
XDG_RUNTIME_DIR=$folder
export XDG_RUNTIME_DIR
mkdir "$folder/gpuvm"
socket=$folder/gpuvm/fake-1.sock
cd "$folder" || exit 1
failures=0

complain() {
  printf 'FAILED: gpuvm %s\n  %s\n' "$arguments" "$1"
  failures=$((failures + 1))
}

run() {
  arguments=$*
  "$gpuvm" "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null
  status=$?
}

# expect STATUS OUT ERR ARGUMENT...: OUT in standard output, ERR in standard error; empty: that is empty.
expect() {
  wanted=$1
  out=$2
  err=$3
  shift 3
  run "$@"
  [ "$status" -eq "$wanted" ] || complain "exit status $status, not $wanted: $(cat "$folder/stderr")"
  for pair in "stdout:$out" "stderr:$err"; do
    text=${pair#*:}
    if [ -z "$text" ]; then
      [ ! -s "$folder/${pair%%:*}" ] || complain "writes: $(cat "$folder/${pair%%:*}")"
    else
      grep -qF -e "$text" "$folder/${pair%%:*}" || complain "no \"$text\" in: $(cat "$folder/${pair%%:*}")"
    fi
  done
}

# asked REQUEST: the guest was asked that last.
asked() { [ "$(tail -n 1 "$folder/log")" = "$1" ] || complain "asked $(tail -n 1 "$folder/log"), not $1"; }

start_fake() {
  perl "$source_dir/tests/cli/fake_guest.pl" "$socket" fake-1 "$folder/log" &
  guest=$!
  tries=0
  until [ -S "$socket" ] || [ "$tries" -ge 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

# Nobody is there.
expect 69 '' 'No guest named fake-1 runs here' status fake-1
expect 64 '' 'Fake_1 is no name of a guest' pause Fake_1
expect 64 '' 'GUEST is required' stop
expect 64 '' 'x is no duration such as 90s' stop --timeout x fake-1
expect 69 '' 'There is no control socket ./none.sock' status ./none.sock
expect 69 '' '/etc/passwd is a file, and no control socket: give the name of a guest' status /etc/passwd
expect 69 '' "$folder/ is a folder, and no control socket" stop "$folder/"
expect 78 '' 'nosuch is neither a configuration (there is no file of this name here) nor a guest that runs' inspect nosuch
for name in . .. ./.. -x _x; do
  run status -- "$name"
  [ "$status" -eq 64 ] || [ "$status" -eq 69 ] || complain "exit status $status"
done
expect 64 '' '.. is no name of a guest' status ..
expect 64 '' '-x is no name of a guest' status -- -x
expect 0 'NAME' '' ps

# A folder in which others could put what they like.
chmod 777 "$folder/gpuvm"
expect 0 'NAME' "chmod go-w $folder/gpuvm" ps
chmod 755 "$folder/gpuvm"

start_fake
expect 0 'fake-1' '' ps
grep -Eq "^fake-1 +running +$guest +1m15s +2 +512M +0000:01:00.0\$" "$folder/stdout" || complain "$(cat "$folder/stdout")"
expect 0 '"name":"fake-1","state":"running"' '' ps --json
grep -qF "\"socket\":\"$socket\"" "$folder/stdout" || complain "$(cat "$folder/stdout")"
expect 0 'uptime_s: 75' '' status fake-1
expect 0 '{"name":"fake-1"' '' status --json "$socket"
asked 'GET /v1/vm'
expect 0 '' '' pause fake-1
asked 'PUT /v1/vm/pause'
expect 69 '' 'gpuvm: error: fake-1: The guest is running, not paused' resume fake-1
expect 69 '' 'fake-1: not you' reboot fake-1
expect 0 '' '' power-button fake-1
asked 'PUT /v1/vm/power-button'
expect 0 '' '' attach fake-1 41:00.0
asked 'PUT /v1/attach?device=0000:41:00.0'
expect 0 '' '' detach fake-1 0000:41:00.0
asked 'PUT /v1/detach?device=0000:41:00.0'
expect 0 '' '' attach fake-1 /run/server.sock
asked 'PUT /v1/attach?device=/run/server.sock'
expect 64 '' 'is neither a PCI address' attach fake-1 'a b'
expect 64 '' 'is neither a PCI address' detach fake-1 '/run/a&b'
expect 0 '{"event":"state"}' '' events fake-1
asked 'GET /v1/events?replay=1'
expect 0 'gpuvm_up{guest="fake-1"} 1' '' metrics fake-1
expect 0 'gpuvm_up{guest="fake-1"} 1' '' metrics
# What a guest says is as it is in a file, and harmless on a terminal.
escape=$(printf '\033')
grep -q "$escape" "$folder/stdout" && complain 'metrics of several guests keep what is no line of theirs'
run metrics fake-1
grep -q "$escape" "$folder/stdout" || complain 'a file does not get what the guest sent'
if command -v script >/dev/null; then
  script -qec "'$gpuvm' metrics fake-1" /dev/null >"$folder/stdout" 2>&1 </dev/null
  grep -q 'gpuvm_up' "$folder/stdout" || complain "shows: $(cat "$folder/stdout")"
  grep -q "$escape" "$folder/stdout" && complain 'a terminal gets control characters of a guest'
fi
expect 0 '    size: 512 MiB' '' inspect fake-1
expect 0 '"size":"512 MiB"' '' inspect --json fake-1
expect 0 '    size: 512 MiB' '' inspect "$socket"
expect 78 '' 'fake-1' inspect --set name=x fake-1
expect 64 '' 'gpuvm reboot fake-1' reset fake-1
expect 69 '' 'those that do: fake-1' status other
# A file of that name is a configuration.
echo 'wrong' >fake-1
expect 78 '' 'fake-1' inspect fake-1
rm fake-1

arguments='console fake-1'
printf hello | "$gpuvm" console fake-1 >"$folder/stdout" 2>"$folder/stderr" || complain "exit status $?"
[ "$(cat "$folder/stdout")" = 'login: [hello]' ] || complain "shows: $(cat "$folder/stdout")"
[ ! -s "$folder/stderr" ] || complain "writes: $(cat "$folder/stderr")"

# One that does not mind its power button.
expect 0 '' 'fake-1 has not powered off within 1 s' stop --timeout 1s fake-1
asked 'PUT /v1/vm/stop'
wait "$guest"
start_fake
expect 0 '' '' stop --force fake-1
asked 'PUT /v1/vm/stop'
[ "$(grep -c 'power-button' "$folder/log")" -eq 2 ] || complain 'presses the power button'
wait "$guest"

# One that is killed leaves a socket, which goes.
start_fake
kill -9 "$guest"
wait "$guest" 2>/dev/null
guest=
expect 69 '' 'fake-1 does not run any more' status fake-1
[ ! -e "$socket" ] || complain 'leaves the dead socket'
expect 0 'NAME' '' ps
[ -z "$(ls "$folder/gpuvm")" ] || complain "leaves $(ls "$folder/gpuvm")"

# Those that hang, and those that refuse everything: no client waits longer than it was asked to.
# start_odd silent|half|refusing: half says how it is, and nothing else.
start_odd() {
  # shellcheck disable=SC2016  # Perl's variables
  perl -MIO::Socket::UNIX -e 'my ($path, $mode) = @ARGV; alarm 50; $SIG{PIPE} = "IGNORE"; my @kept;
    my $server = IO::Socket::UNIX->new(Local => $path, Listen => 16) or die "$path: $!\n";
    while (my $client = $server->accept) {
      if ($mode eq "silent") { push @kept, $client; next }
      sysread($client, my $asked, 4096);
      if ($mode eq "half" && $asked !~ m{^GET /v1/vm }) { push @kept, $client; next }
      if ($mode eq "half") {
        my $body = q({"name":"fake-1","state":"running","pid":1});
        print $client "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        next;
      }
      print $client "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    }' "$socket" "$1" &
  guest=$!
  for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S "$socket" ] || sleep 0.3; done
}
end_odd() {
  kill "$guest"
  wait "$guest" 2>/dev/null
  guest=
  rm -f "$socket"
}
# quick SECONDS ARGUMENT...: fails with 69 within that time.
quick() {
  limit=$1
  shift
  arguments=$*
  timeout "$limit" "$gpuvm" "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null
  status=$?
  [ "$status" -eq 69 ] || complain "exit status $status, not 69 within $limit s: $(cat "$folder/stderr")"
}
start_odd silent
quick 12 stop --timeout 1s fake-1
grep -q 'kill -9' "$folder/stderr" || complain "does not say what ends it: $(cat "$folder/stderr")"
grep -q 'stop --force' "$folder/stderr" && complain 'proposes what the guest does not hear either'
quick 20 metrics
end_odd
start_odd half
quick 10 metrics
grep -q 'fake-1: The guest does not answer in time' "$folder/stderr" || complain "says: $(cat "$folder/stderr")"
end_odd
start_odd refusing
quick 12 stop --force fake-1
end_odd

[ "$failures" -eq 0 ]
