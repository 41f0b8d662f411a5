#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# is_running of scripts/lib/is-running.sh: a child that has ended, and that nobody has waited for yet, does not run.
. "$(dirname "$0")/checks.sh"
. "$REPO/scripts/lib/is-running.sh"

expect 'this shell runs' is_running $$
coproc SLEEPER { read -r; }
sleeper=$SLEEPER_PID
expect 'a child that waits runs' is_running "$sleeper"
echo >&"${SLEEPER[1]}"
wait "$sleeper" || true
expect 'a child that was waited for does not' not is_running "$sleeper"

# Perl's child has ended; Perl says so by its first line and waits for it only when its input ends.
coproc PARENT { perl -e '$| = 1; my $child = fork // die; exit 0 if !$child; sleep 1 while `cat /proc/$child/stat` !~ /\) Z /; print "$child\n"; <STDIN>'; }
read -r zombie <&"${PARENT[0]}"
expect 'kill -0 takes a child that has ended for alive' kill -0 "$zombie"
expect 'it does not run' not is_running "$zombie"
finish
