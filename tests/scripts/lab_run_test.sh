#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034,SC2317
# How scripts/test runs the lab's tests, with small scripts in their place: verdicts, the last moment, interruptions; and its options.
# (SC2034, SC2317: run_lab uses these variables and functions.)
. "$(dirname "$0")/checks.sh"

# Another repository, with the scripts of this one and tests that are made up.
mkdir -p "$WORK/repo/tests/lab/lib" "$WORK/repo/build/log"
ln -s "$REPO/scripts" "$WORK/repo/scripts"
cd "$WORK/repo"
printf '# speed: 1000 ms\n' >tests/lab/plan.tsv

# make_test NAME TURN SECONDS BODY
make_test() {
  printf '#!/bin/bash\n%s\n' "$4" >"tests/lab/$1_test.sh"
  chmod +x "tests/lab/$1_test.sh"
  printf '%s\t%s\t%s\ttests\tbecause\n' "$1" "$2" "$3" >>tests/lab/plan.tsv
}

# run_stubs ONLY MINUTES LATEST [COMMAND]: run_lab, as scripts/test calls it; COMMAND comes first. LATEST is LAB_LATEST.
run_stubs() {
  cat >run <<END_OF_RUN
set -euo pipefail
. "$REPO/scripts/lib/build.sh"
GPUVM_REPO=$WORK/repo GPUVM_LOG=$WORK/repo/build/log
for part in costs verdicts plan table turn schedule lab; do . "$REPO/scripts/lib/test-\$part.sh"; done
measure_speed() { speed_walls+=(1000); }
only=$1 minutes=$2 turn=0 turn_because=test speed_walls=(1000)
LAB_LATEST=$3 LAB_GRACE=1
${4:-}
run_lab
keep_times
print_totals
END_OF_RUN
  timeout --foreground -k 20 300 bash run >out 2>err
}

# all_gone COUNT: so many processes of tests have been there, and none is left. (One that nobody has waited for is gone, too.)
all_gone() {
  local pid tries
  [[ $(wc -l <pids) == "$1" ]] || return 1
  for pid in $(<pids); do
    for ((tries = 0; tries < 100; tries++)); do
      [[ -e /proc/$pid/status ]] && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null || continue 2
      sleep 0.1
    done
    return 1
  done
}

test_verdicts() {
  make_test good core 3 'exit 0'
  make_test bad core 2 'echo because of this; exit 3'
  make_test absent core 2 'echo "skipped: there is no such thing"; exit 77'
  make_test silent core 2 'exit 77'
  make_test long 1 9000 'exit 0'
  run_stubs '' 50 450 || true
  cat out err
  expect "passed" grep -q '^  ok       lab/good_test' out
  expect "failed, with its status and output" grep -q '^  FAILED   lab/bad_test (status 3)' out
  expect "failed: its output" grep -q '^because of this' out
  expect "one that skips itself: counted, with its reason" grep -q '^  skipped  lab/absent_test: there is no such thing$' out
  expect "one that skips itself in silence has failed" grep -q '^  FAILED   lab/silent_test (it skips itself' out
  expect "not started: named, with its time" \
    grep -qE '^  skipped  lab/long_test: not started within 50 minutes, it takes about [0-9]+ s here$' out
  expect "the last line" same "$(tail -n 1 out)" '1 passed, 2 failed, 2 skipped'
  expect "the times of what passed" same "$(tr '\t\n' ' ;' <build/log/lab-times.tsv | sed 's/good [0-9]*/good N/')" \
    'good N;speed 1000;end;'
  run_stubs bad '' 450 || true
  expect "one test alone" same "$(tail -n 1 out)" '0 passed, 1 failed, 0 skipped'
  run_stubs '' '' 450 || true
  expect "without a limit all run" same "$(tail -n 1 out)" '2 passed, 2 failed, 1 skipped'
}

# Two tests that never end, one of which does not listen either: the one that is not of the core is ended with its children.
test_last_moment() {
  rm tests/lab/*_test.sh
  make_test slow core 1 'until [[ -s pids ]]; do sleep 0.1; done; sleep 3'
  make_test hangs 0 1 'trap "" TERM; sleep 86400 & echo $$ $! | tr " " "\\n" >pids; wait'
  rm -f pids
  # The last moment comes when that test is there, however slow this machine is.
  run_stubs '' 1 -60 'sleep() { until [[ -s pids || ! -d tests ]]; do command sleep 0.1; done; command sleep "$@"; }' || true
  cat out err
  expect "ended at the limit: failed" grep -q '^  FAILED   lab/hangs_test (ended at the limit; about 1 s were expected)' out
  expect "ended at the limit: with its children" all_gone 2
  expect "the core is not" grep -q '^  ok       lab/slow_test' out
  expect "the totals come all the same" same "$(tail -n 1 out)" '1 passed, 1 failed, 0 skipped'
}

test_interruption() {
  local status=0
  rm tests/lab/*_test.sh
  : >pids
  make_test first core 1 'echo $$ >>pids; exec sleep 86400'
  make_test second core 1 'echo $$ >>pids; exec sleep 86400'
  run_stubs '' 50 450 '(until (($(wc -l <pids) == 2)); do sleep 0.1; done; kill -TERM $$) &' || status=$?
  cat out err
  expect "interrupted: its status" same "$status" 143
  expect "interrupted: nothing goes on" all_gone 2
  expect "interrupted: no totals" not grep -q passed out
}

# refused TEXT OPTION…: scripts/test ends with 64 and says so, before it does anything.
refused() {
  local text=$1 status=0
  shift
  "$REPO/scripts/test" "$@" >out 2>err || status=$?
  expect "scripts/test $*: status 64" same "$status" 64
  expect "scripts/test $*: says $text" grep -q -- "$text" err
}

test_options() {
  refused 'number of minutes' --within
  refused 'number of minutes' --within 0
  refused 'number of minutes' --within soon
  refused 'from 0 to 3' --within 50 --turn 4
  refused '--turn is for' --turn 1
  refused '--within is for' --within 50 --only disk
  refused '--within is for' --no-lab --within 50
  refused 'only one of' --quick --no-lab
  refused "no lab test 'dsik'" --only dsik
  refused 'Usage' --fast
}

test_verdicts
test_last_moment
test_interruption
test_options
finish
