#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# in_file TEXT FILE: waits until the text is there.
in_file() {
  local end=$((SECONDS + 60))
  until grep -aq -- "$1" "$2"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# ask_socket PATH LINE ANSWER: a client that types LINE and waits for ANSWER.
ask_socket() {
  perl -MIO::Socket::UNIX -e '
    my ($path, $line, $answer) = @ARGV;
    alarm 60;
    my $socket = IO::Socket::UNIX->new($path) or die "$path: $!\n";
    print $socket "$line\n"; $socket->flush;
    my $said = "";
    until ($said =~ /$answer/) { sysread($socket, $said, 4096, length $said) or die "closed after: $said\n" }' "$@"
}

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
# shellcheck disable=SC2016 # the guest expands it
make_guest places 'stty -echo; echo WAITING; while read -r word && [ "$word" != off ]; do echo "<$word>"; done' <<END
[console]
serial = ["pty", "file:serial.log", "socket:$WORK/console.socket"]
END
start_guest places
expect "file: has the guest's output" in_file WAITING "$WORK/serial.log"
pty=$(grep -o '/dev/pts/[0-9]*' "$LOG" | head -n 1)
# In processes of their own: this shell, a session leader, would make it its controlling terminal.
cat "$pty" >"$WORK/pty.out" &
reader=$!
(echo by-pty >"$pty")
expect "pty: $pty takes a line and shows the answer" in_file '<by-pty>' "$WORK/pty.out"
expect "socket: takes a line and shows the answer" ask_socket "$WORK/console.socket" by-socket '<by-socket>'
expect "socket: so it does for a second client" ask_socket "$WORK/console.socket" second '<second>'
expect "file: has all of it" in_file '<second>' "$WORK/serial.log"
expect "pty: has all of it" in_file '<second>' "$WORK/pty.out"
(echo off >"$pty")
wait_guest 180
kill "$reader" 2>/dev/null || true
expect "power off: status 0" test "$guest_status" = 0
expect_not "the socket is gone" test -e "$WORK/console.socket"
expect_not "nothing was written to standard output" test -s "$CONSOLE"

# A terminal: raw while the guest runs, as before afterwards; Ctrl-] asks the guest to power off, once more ends it.
make_guest terminal 'echo WAITING; read -r word' </dev/null
cat >"$WORK/session" <<END
stty -a >$WORK/stty.before
"$GPUVM" run "$WORK/terminal.toml" 2>"$WORK/terminal.log"
echo "\$?" >$WORK/status
stty -a >$WORK/stty.after
END
mkfifo "$WORK/keys"
exec 9<>"$WORK/keys"
script -qfec "bash $WORK/session" "$WORK/typescript" <"$WORK/keys" >/dev/null 9>&- &
session=$!
expect "terminal: shows the guest's output" in_file WAITING "$WORK/typescript"
printf '\035' >&9
expect "terminal: Ctrl-] presses the power button" in_file 'Power button pressed' "$WORK/terminal.log"
printf '\035' >&9
end=$((SECONDS + 30))
while is_running "$session" && ((SECONDS < end)); do sleep 0.1; done
expect "terminal: Ctrl-] again ends the run with status 130" test "$(cat "$WORK/status")" = 130
expect "terminal: it is as it was before" diff "$WORK/stty.before" "$WORK/stty.after"
finish
