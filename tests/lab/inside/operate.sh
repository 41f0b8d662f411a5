#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GROUP=gpuvm-lab
groupadd -f $GROUP
# Where everybody may run it.
install -m 755 "$GPUVM" /usr/local/bin/gpuvm
declare -A running=()

# Somebody without rights, but for the group; and without it.
member() { setpriv --reuid=nobody --regid=nogroup --groups=$GROUP env -u XDG_RUNTIME_DIR "$@"; }
# The same in the background, where it takes the place of the shell that `kill $!` ends.
become_member() { exec setpriv --reuid=nobody --regid=nogroup --groups=$GROUP env -u XDG_RUNTIME_DIR "$@"; }
stranger() { setpriv --reuid=nobody --regid=nogroup --clear-groups env -u XDG_RUNTIME_DIR "$@"; }

# COMMAND…: its exit status in $status, what it prints in $WORK/said, messages in $WORK/complained.
try() {
  status=0
  "$@" >"$WORK/said" 2>"$WORK/complained" </dev/null || status=$?
  cat "$WORK/said" "$WORK/complained"
}
said() { grep -Eq -- "$1" "$WORK/said"; }
complained() { grep -q -- "$1" "$WORK/complained"; }
# does WHAT COMMAND…: exit status 0.
does() {
  local what=$1
  shift
  try "$@"
  expect "$what: status 0" test "$status" = 0
}
# refuses WHAT TEXT COMMAND…: exit status 69, with TEXT.
refuses() {
  local what=$1 text=$2
  shift 2
  try "$@"
  expect "$what: status 69" test "$status" = 69
  expect "$what: it says why" complained "$text"
}

# within SECONDS COMMAND…: until it succeeds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    pause 0.2
  done
}
in_file() { grep -aq -- "$1" "$2"; }
times_in_file() { (($(grep -ac -- "$1" "$2") >= $3)); }
ended() { ! is_running "$1"; }

launch() {
  "$GPUVM" run "$WORK/$1.toml" <&"$nothing" >"$WORK/$1.console" 2>"$WORK/$1.log" 7>&- &
  running[$1]=$!
}
# end_of NAME: waits for it; its exit status in $status.
end_of() {
  expect "$1: its gpuvm ends" within 60 ended "${running[$1]}"
  status=0
  wait "${running[$1]}" || status=$?
}

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_OPERATE_INITRD
# alpha minds its power button, beta does not.
make_guest alpha '
until_true 20 test -c /dev/input/event0
(head -c 24 /dev/input/event0 >/dev/null && echo PRESSED && poweroff -f) &
stty -echo
echo ALPHA-UP
while read -r word && [ "$word" != off ]; do echo "<$word>"; done
' <<END
[control]
group = "$GROUP"
[[pci]]
host = "0000:01:00.0"
END
make_guest beta '
until_true 20 test -c /dev/hvc0
(exec </dev/hvc0 >/dev/hvc0 2>&1; stty -echo; echo HVC-UP; while read -r word; do echo "($word)"; done) &
echo BETA-UP; read -r word
' <<END
[console]
virtio = ["file:$WORK/beta.hvc"]
[control]
group = "$GROUP"
[[pci]]
host = "0000:02:00.0"
END
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest gamma 'echo GAMMA-UP; read -r word' </dev/null

load_host_drivers
before=$(host_state)
does "ps without guests" member gpuvm ps
expect "ps without guests: a heading" said '^NAME +STATE +PID +UPTIME +CPUS +MEMORY +DEVICES$'
refuses "a guest that is not there" 'No guest named alpha runs here' member gpuvm status alpha

launch alpha
launch beta
expect "alpha is up" within 300 in_file ALPHA-UP "$WORK/alpha.console"
expect "beta is up" within 300 in_file BETA-UP "$WORK/beta.console"

# Watching.
does "ps" member gpuvm ps
expect "ps: alpha with its device" said "^alpha +running +${running[alpha]} .* 0000:01:00.0"
expect "ps: beta with its device" said "^beta +running +${running[beta]} .* 0000:02:00.0"
expect_not "ps: no colours in a file" grep -q "$(printf '\033')" "$WORK/said"
does "ps --json" member gpuvm ps --json
expect "ps --json: what a script reads" \
  test "$(perl -MJSON::PP -0777 -ne 'print join " ", map {"$_->{name}:$_->{state}"} @{decode_json $_}' "$WORK/said")" = 'alpha:running beta:running'
does "status" member gpuvm status alpha
expect "status: who it is" said "^pid: ${running[alpha]}$"
does "inspect of a guest" member gpuvm inspect beta
expect "inspect of a guest: its device" said '0000:02:00.0'
does "metrics of both" member gpuvm metrics
expect "metrics: one family, a line of each guest" \
  test "$(grep -c '^gpuvm_cpus{vm="\(alpha\|beta\)"} 1$' "$WORK/said") $(grep -c '^# TYPE gpuvm_cpus ' "$WORK/said")" = '2 1'
does "curl" member curl -sf --unix-socket /run/gpuvm/alpha.sock http://gpuvm/v1/vm
expect "curl: JSON" said '"name": ?"alpha"'
does "events" member gpuvm events alpha
expect "events: how it came to run" said '"event":"state".*"to":"running"'
become_member gpuvm events --follow beta >"$WORK/follow" 2>&1 &
follower=$!
expect "events --follow: those of before" within 30 in_file '"to":"running"' "$WORK/follow"

# Steering.
does "pause" member gpuvm pause beta
member gpuvm status beta >"$WORK/said"
expect "pause: beta is paused" said '^state: paused$'
expect "pause: alpha is not" grep -q '^state: running$' <(member gpuvm status alpha)
expect "events --follow: told at once" within 10 in_file '"to":"paused"' "$WORK/follow"
refuses "pause again" '^gpuvm: error: beta: .*paused' member gpuvm pause beta
does "resume" member gpuvm resume beta
refuses "resume again" '^gpuvm: error: beta: ' member gpuvm resume beta
does "curl pauses" member curl -sf --unix-socket /run/gpuvm/alpha.sock -X PUT http://gpuvm/v1/vm/pause
does "and gpuvm resumes" member gpuvm resume alpha
does "reboot" member gpuvm reboot beta
expect "reboot: beta comes up again" within 300 times_in_file BETA-UP "$WORK/beta.console" 2
try member gpuvm reset beta
expect "reset is for devices: status 64, and what was meant" eval '[[ $status == 64 ]] && complained "gpuvm reboot beta"'

# Two viewers: both see what either types; the place of [console] does, too.
mkfifo "$WORK/keys1" "$WORK/keys2"
exec 8<>"$WORK/keys1" 9<>"$WORK/keys2"
become_member gpuvm console alpha <"$WORK/keys1" >"$WORK/view1" 2>&1 8>&- 9>&- &
viewer1=$!
become_member gpuvm console alpha <"$WORK/keys2" >"$WORK/view2" 2>&1 8>&- 9>&- &
viewer2=$!
metrics_show_viewers() { member gpuvm metrics alpha | grep -Eq '^gpuvm_console_viewers\{vm="alpha"[^}]*\} 2$'; }
expect "both viewers are attached" within 30 metrics_show_viewers
echo by-one >&8
expect "viewer 1 sees the answer" within 30 in_file '<by-one>' "$WORK/view1"
expect "viewer 2 sees it, too" within 30 in_file '<by-one>' "$WORK/view2"
echo by-two >&9
expect "viewer 1 sees what viewer 2 typed" within 30 in_file '<by-two>' "$WORK/view1"
expect "so does gpuvm's own console" within 30 in_file '<by-two>' "$WORK/alpha.console"
kill "$viewer2"
wait "$viewer2" || status=$?
expect "a viewer that is ended by a signal says so: 143" test "$status" = 143
echo after >&8
expect "the other one stays" within 30 in_file '<after>' "$WORK/view1"

# The virtio console is another one.
mkfifo "$WORK/keys4"
exec 6<>"$WORK/keys4"
become_member gpuvm console --virtio beta <"$WORK/keys4" >"$WORK/view4" 2>&1 6>&- 8>&- 9>&- &
viewer4=$!
expect "console --virtio: what was printed before" within 60 in_file HVC-UP "$WORK/view4"
echo by-hvc >&6
expect "console --virtio: what is typed reaches the guest" within 30 in_file '(by-hvc)' "$WORK/view4"
expect "console --virtio: the place of [console] sees it, too" within 30 in_file '(by-hvc)' "$WORK/beta.hvc"
expect_not "console --virtio: the serial console does not" in_file 'by-hvc' "$WORK/beta.console"
metrics_count_virtio() { member gpuvm metrics beta | grep -Eq '^gpuvm_console_bytes_total\{vm="beta",console="virtio",direction="output"\} [1-9]'; }
expect "console --virtio: its bytes are counted" metrics_count_virtio
kill "$viewer4"
wait "$viewer4" || true
refuses "console --virtio of a guest that has none" 'has no virtio console (console.virtio)' member gpuvm console --virtio alpha

# One member with as many connections as it gets keeps neither root nor the guest from anything.
become_member perl -MIO::Socket::UNIX -e '
  $| = 1;
  $SIG{PIPE} = "IGNORE";
  my @held;
  for (1 .. 40) {
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or next;
    syswrite $socket, "GET /v1/events HTTP/1.1\r\n\r\n";
    push @held, $socket;
  }
  print "held\n";
  sleep 600' /run/gpuvm/alpha.sock >"$WORK/held" 2>&1 &
greedy=$!
expect "a member opens 40 connections" within 60 in_file held "$WORK/held"
does "a greedy member: root's status" gpuvm status alpha
refuses "a greedy member has no more" 'as many clients of this user' member gpuvm status alpha
kill "$greedy"
wait "$greedy" || true
expect "and when it has gone, the members may again" within 30 member gpuvm status alpha

# A terminal: raw while it is attached, as before afterwards; Ctrl-] leaves, and the guest runs on.
cat >"$WORK/session" <<END
stty -a >$WORK/stty.before
gpuvm console alpha 2>$WORK/terminal.said
echo "\$?" >$WORK/status
stty -a >$WORK/stty.after
END
mkfifo "$WORK/keys3"
exec 5<>"$WORK/keys3"
script -qfec "bash $WORK/session" "$WORK/typescript" <"$WORK/keys3" >/dev/null 5>&- 8>&- 9>&- &
session=$!
expect "terminal: told once how to leave" within 30 in_file 'Ctrl-\] leaves it' "$WORK/terminal.said"
printf 'by-terminal\r' >&5
expect "terminal: attached" within 30 in_file '<by-terminal>' "$WORK/typescript"
# As a program that takes the whole screen, and is still there when the viewer leaves.
printf '\033[?1049hfull\r' >&5
expect "terminal: on the other screen" within 30 in_file 'full>' "$WORK/typescript"
printf '\035' >&5
expect "terminal: Ctrl-] detaches" within 30 ended "$session"
expect "terminal: its own screen is back" grep -aq "$(printf '\033\[?1049l')" "$WORK/typescript"
expect "terminal: status 0" test "$(cat "$WORK/status")" = 0
expect "terminal: it is as it was before" diff "$WORK/stty.before" "$WORK/stty.after"
expect "terminal: the guest runs on" grep -q '^state: running$' <(member gpuvm status alpha)

# Those who may not.
does "ps of a stranger" stranger gpuvm ps
expect "ps of a stranger: guests that it may not ask" said '^alpha +not allowed'
for verb in status pause stop console events; do
  refuses "$verb by a stranger" "the group $GROUP may use" stranger gpuvm $verb alpha
done
expect_not "nor may it by curl" stranger curl -sf --unix-socket /run/gpuvm/alpha.sock http://gpuvm/v1/vm
expect "nothing has come of that" grep -q '^state: running$' <(member gpuvm status alpha)

# The end: by the power button, and without.
does "stop of a guest that minds its power button" member gpuvm stop alpha
expect_not "stop: its socket is gone when it returns" test -e /run/gpuvm/alpha.sock
end_of alpha
expect "stop: gpuvm's own status" test "$status" = 0
expect "stop: by the power button" in_file PRESSED "$WORK/alpha.console"
expect "the viewer has ended with it" within 10 ended "$viewer1"
does "a paused guest" member gpuvm pause beta
does "stop of one that does not, and is paused" member gpuvm stop --timeout 3s beta
expect "stop: it is told" complained 'beta has not powered off within 3 s'
end_of beta
expect "events --follow: ends with the guest" within 10 ended "$follower"
expect "events --follow: to the end" in_file '"to":"stopped"' "$WORK/follow"
expect "devices and drivers are as before" state_is "$before"

# Without a group: root's alone. Killed: the socket stays, and goes.
launch gamma
expect "gamma is up" within 300 in_file GAMMA-UP "$WORK/gamma.console"
refuses "a guest without a group" 'Only the user root may use' member gpuvm status gamma
kill_gpuvm "${running[gamma]}"
wait "${running[gamma]}" || true
expect "a killed gpuvm leaves its socket" test -S /run/gpuvm/gamma.sock
does "ps of somebody who may not remove it" member gpuvm ps
expect "and it stays" test -S /run/gpuvm/gamma.sock
does "ps of root" gpuvm ps
expect_not "does not show it" said '^gamma'
expect_not "and removes it" test -e /run/gpuvm/gamma.sock
expect_not "with its lock" test -e /run/gpuvm/gamma.sock.lock
launch gamma
expect "gamma is up again" within 300 in_file GAMMA-UP "$WORK/gamma.console"
kill_gpuvm "${running[gamma]}"
wait "${running[gamma]}" || true
launch gamma
expect "a start does not mind what was left" within 300 in_file GAMMA-UP "$WORK/gamma.console"
does "and is steered" gpuvm status gamma
"$GPUVM" run -q "$WORK/gamma.toml" <&"$nothing" >"$WORK/second.log" 2>&1 || true
expect "a second guest of the name says who has it" in_file "pid ${running[gamma]}" "$WORK/second.log"
expect "and has not taken its socket" grep -q "^pid: ${running[gamma]}$" <(gpuvm status gamma)
does "stop --force" gpuvm stop --force gamma
end_of gamma
expect_not "nothing is left" test -e /run/gpuvm/gamma.sock
finish
