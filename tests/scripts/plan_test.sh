#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034
# The plan of the lab's tests and its limit of time, with a clock and tests that are made up; the table; the turns.
# (SC2034: the made-up tests set schedule's variables.)
. "$(dirname "$0")/checks.sh"
. "$REPO/scripts/lib/build.sh"
. "$REPO/scripts/lib/test-plan.sh"
. "$REPO/scripts/lib/test-table.sh"
. "$REPO/scripts/lib/test-turn.sh"
. "$REPO/scripts/lib/test-schedule.sh"
cd "$REPO"
TABLE=tests/lab/plan.tsv

row() { printf '%s\t%s\t%s\t%s\tbecause\n' "$@"; }
names() { cut -f 2 | tr '\n' ' '; }

# ---- The order.

small_table() {
  echo '# a head'
  row slow_core core 30 room/a
  row core core 60 room/a
  row zero 0 50 room/b
  row zero_long 0 90 'room/c scripts/x'
  row one 1 10 room/b
  row two 2 20 'room/bb scripts/lib/lab-*'
  row three 3 30 room/d
}
order() { small_table | plan_order "$@" | names; }

test_order() {
  expect "nothing changed: core, this turn, the next ones" same "$(order 0)" 'core slow_core zero_long zero one two three '
  expect "the last turn's next one is 0" same "$(order 3)" 'core slow_core three zero_long zero one two '
  expect "rooms that changed go first" same "$(order 0 room/b/file.cpp)" 'core slow_core zero zero_long one two three '
  expect "so do files" same "$(order 1 scripts/x)" 'core slow_core one zero_long two three zero '
  expect "so do names' beginnings" same "$(order 3 scripts/lib/lab-run.sh)" 'core slow_core three two zero_long zero one '
  expect "so do a test's scripts" same "$(order 0 tests/lab/zero_test.sh tests/lab/inside/three.sh)" \
    'core slow_core zero zero_long three one two '
  expect "what only sounds alike does not" same "$(order 0 room/bbb/file scripts/lib/la room)" "$(order 0)"
  expect "a core that changed stays in its place" same "$(order 0 room/a/file)" "$(order 0)"
  expect "without a limit the longest first" same "$(small_table | plan_longest_first | names)" \
    'zero_long core zero slow_core three two one '
}

# Any four commits in a row begin with all tests, and the core always.
test_turns_cover_all() {
  local commits run all
  all=$(lab_tests)
  for commits in 0 1 2 3 154 1001; do
    expect "the four runs from $commits commits on" same "$all" "$(
      for run in 0 1 2 3; do plan_order $(((commits + run) % 4)) devices/pci/ecam.cpp <"$TABLE"; done \
        | awk -F '\t' '$1 <= 2 { print $2 }' | sort -u)"
    expect "each of them has all tests in its plan" same "$all" "$(plan_order $((commits % 4)) <"$TABLE" | cut -f 2 | sort)"
  done
}

# ---- Numbers.

test_numbers() {
  expect "slowness: the guess at first" same "$(plan_slowness 170)" 170
  expect "slowness: sums, not means of ratios" same "$(plan_slowness 100 10 5 100 100)" 105
  expect "slowness: the last four tests say more if they were slower" same "$(plan_slowness 100 900 900 2 1 2 1 2 1 2 1)" 200
  expect "slowness: not if they were faster" same "$(plan_slowness 100 900 900 1 2 1 2 1 2 1 2)" 100
  expect "slowness: one quick test is no fast machine" same "$(plan_slowness 100 0 30)" 50
  expect "slowness: no division by nothing" same "$(plan_ratio 0 0)" 100
  expect "what fits" plan_fits 1000 100 200 1240
  expect "what does not" not plan_fits 1000 100 200 1239
}

# ---- A machine that is made up: a test takes the table's seconds, times slow (per cent, from the moment slow_from on), and times
# wrong (per cent) if it is not of the core.

look_at_clock() { now=$clock; }

start_test() {
  local factor=100 took
  ((clock < slow_from)) || factor=$slow
  took=$((seconds[$1] * factor / 100))
  ((class[$1] == 0)) || took=$((took * wrong / 100))
  [[ $1 != "$hangs" ]] || took=1000000
  ! fails_at_once "$1" || took=1
  ends[$1]=$((clock + took))
  started+=("$1")
}

fails_at_once() { [[ $core_fails == yes ]] && ((class[$1] == 0)); }

await_test() {
  local name
  ended='' status=0
  for name in "${!ends[@]}"; do
    [[ -n $ended ]] && ((ends[$name] >= ends[$ended])) || ended=$name
  done
  if ((latest > 0 && ends[$ended] > latest)); then
    clock=$((clock > latest ? clock : latest)) latest=0 ended=''
  else
    clock=${ends[$ended]}
    ! fails_at_once "$ended" || status=1
    unset "ends[$ended]"
  fi
}

end_tests() {
  local name
  for name in "$@"; do unset "ends[$name]"; done
  clock=$((clock + 10))
}

report_end() { [[ $2 != limit ]] || at_limit+=("$1"); }
report_skip() { not_run+=("$1"); }

# simulate BEGIN LIMIT GUESS [NAME=VALUE]…: the lab begins at BEGIN; seconds all.
simulate() {
  clock=$1 latest=$(($2 + 450)) slow=100 slow_from=0 wrong=100 hangs='' core_fails=no started=() at_limit=() not_run=()
  local limit=$2 guess=$3
  local -A ends=()
  (($2 > 0)) || latest=0
  shift 3
  (($# == 0)) || declare -g "$@"
  schedule "$limit" "$guess" < <(if ((limit > 0)); then plan_order 2 devices/virtio/a.cpp; else plan_longest_first; fi <"$TABLE")
}
each_once() { printf '%s\n' "${started[@]}" "${not_run[@]}" | sort | same "$(cat)" "$(lab_tests)"; }
core_ran() { comm -23 <(awk -F '\t' '$2 == "core" { print $1 }' "$TABLE" | sort) <(printf '%s\n' "${started[@]}" | sort) | not grep .; }

# holds WHAT END: the run is over at END, all tests were started or named, and the core was started.
holds() {
  expect "$1: over by $2, and not at $clock" test "$clock" -le "$2"
  expect "$1: each test is started or named, once" each_once
  expect "$1: the core ran" core_ran
}

test_limit() {
  local factor all
  for factor in 50 100 200 400; do
    simulate 500 3000 100 slow=$factor
    holds "$factor % of the seconds" 3000
    expect "$factor %: none had to be ended" same "${#at_limit[@]}" 0
    simulate 500 3000 100 slow=$factor wrong=200
    holds "$factor %, and all but the core takes twice as long" 3480
    simulate 500 3000 400 slow=$factor
    holds "$factor %, thought to be 400 %" 3000
    simulate 500 3000 100 slow="$factor" slow_from=900
    holds "$factor % from some moment on" 3480
  done
  # Half of the table's seconds, two at a time, and a fifth of that for the margins at their ends.
  all=$(awk -F '\t' '!/^#/ { sum += $3 } END { print sum }' "$TABLE")
  simulate 500 $((500 + all * 3 / 10)) 50 slow=50
  expect "a fast machine: nothing is left out" same "${#not_run[@]}" 0
  simulate 500 3000 100 slow=400
  expect "a slow machine: something is" test "${#not_run[@]}" -gt 5
  expect "a slow machine: but more than the core ran" test "${#started[@]}" -gt 7
}

test_special_cases() {
  simulate 3200 3000 100 slow=400
  holds "the limit is over before the lab begins" 3900
  expect "the limit is over: only the core" same "${#started[@]}" "$(grep -c $'\tcore\t' "$TABLE")"
  simulate 3600 3000 100
  holds "even the last moment is over" 3800
  simulate 500 3000 100 hangs=efi
  holds "a test hangs" 3480
  expect "a test hangs: it is ended, and alone" same "${at_limit[*]}" efi
  simulate 2500 3000 400 slow=400 core_fails=yes
  holds "the core fails at once: that is no fast machine" 3000
  expect "the core fails at once: none had to be ended" same "${#at_limit[@]}" 0
  simulate 5000 0 100 slow=1000
  expect "no limit: all run" same "${#started[@]}" "$(lab_tests | wc -l)"
  expect "no limit: the longest first" same "${started[0]}" "$(plan_longest_first <"$TABLE" | head -n 1 | cut -f 2)"
}

# ---- The table.

test_table() {
  expect "the table is whole" check_table "$TABLE"
  broken() {
    sed "$3" "$TABLE" >"$WORK/broken.tsv"
    expect "$1" not check_table "$WORK/broken.tsv"
    check_table "$WORK/broken.tsv" >"$WORK/complaint" || true
    expect "$1: says '$2'" grep -q -- "$2" "$WORK/complaint"
  }
  broken "a test without a row" 'tests/lab/disk_test.sh has no row' '/^disk\t/d'
  broken "a row without a test" 'disc has a row' 's/^disk\t/disc\t/'
  broken "a row twice" 'a second row of disk' 's/^kvm\t/disk\t/'
  broken "no such room" "no room 'devices/virtual'" 's|devices/virtio|devices/virtual|'
  broken "no names that begin so" 'no room .scripts/lib/bal-' 's|scripts/lib/lab-|scripts/lib/bal-|'
  broken "no room at all" "no room ''" 's|\tdevices/passthrough\t|\t\t|'
  broken "a turn that never comes" 'no turn runs soak' 's/^soak\t0/soak\t4/'
  broken "no seconds" 'seconds are a number' 's/^soak\t0\t[0-9]*/soak\t0\tlong/'
  broken "no reason" 'a tab between each' 's/^\(soak\t.*\)\t.*/\1/'
  broken "turns out of balance" 'move a test to a short one' 's/^soak\t0/soak\t1/;s/^judges\t3/judges\t1/'
  broken "no speed" 'no line' '/^# speed:/d'
  grep -v $'^soak\t' "$TABLE" >"$WORK/short.tsv"
  expect "a test without a row is of the core" grep -q $'^soak\tcore\t' <(table_rows "$WORK/short.tsv")
}

test_write_times() {
  cp "$TABLE" "$WORK/table.tsv"
  printf 'soak\t1777\nkvm\t0\nspeed\t4321\n' >"$WORK/times"
  expect "times of a run that did not end are refused" not bash -c ". scripts/lib/build.sh; . scripts/lib/test-table.sh
    write_times '$WORK/table.tsv' '$WORK/times'"
  echo end >>"$WORK/times"
  write_times "$WORK/table.tsv" "$WORK/times" >"$WORK/said"
  expect "seconds are written" grep -q $'^soak\t0\t1777\tvmm/machine' "$WORK/table.tsv"
  expect "no test takes no time" grep -q $'^kvm\tcore\t1\t' "$WORK/table.tsv"
  expect "so is the speed" same "$(table_speed "$WORK/table.tsv")" 4321
  expect "a test that was not in the run is named" grep -q 'keeps its seconds: disk$' "$WORK/said"
  expect "nothing else has changed" same "$(diff "$TABLE" "$WORK/table.tsv" | grep -c '^>')" 3
  expect "whole afterwards, but no longer in balance" same "$(check_table "$WORK/table.tsv" | grep -vc 'the turns 0 to 3 take')" 0
}

# ---- The turn.

test_turn() {
  local i
  local -a git=(git -c user.name=a -c user.email=a@b -c commit.gpgsign=false)
  cd "$WORK"
  find_turn
  expect "without git: turn 0" same "$turn" 0
  expect "without git: nothing changed" same "$(changed_files)" ''
  git init -q many
  cd many
  find_turn
  expect "no commit yet: turn 0" same "$turn" 0
  for ((i = 0; i < 13; i++)); do
    echo "$i" >"file$i"
    git add .
    "${git[@]}" commit -q -m "$i"
  done
  find_turn
  expect "13 commits: turn 1" same "$turn" 1
  find_turn 3
  expect "--turn" same "$turn" 3
  git checkout -q -b side HEAD~2
  for i in a b c; do
    "${git[@]}" commit -q --allow-empty -m "$i"
  done
  git checkout -q -
  "${git[@]}" merge -q --no-ff -m merge side
  find_turn
  expect "a merge of three commits counts as one: turn 2" same "$turn" 2
  "${git[@]}" reset -q --hard HEAD~1
  expect "the last ten commits" same "$(changed_files | wc -l)" 10
  echo more >>file0
  expect "what is not committed" grep -qx file0 <(changed_files)
  echo new >unknown
  expect "what git does not know yet" grep -qx unknown <(changed_files)
  git clone -q --depth 1 "file://$PWD" "$WORK/shallow"
  cd "$WORK/shallow"
  find_turn
  expect "a shallow clone: turn 0" same "$turn" 0
  cd "$REPO"
}

test_order
test_turns_cover_all
test_numbers
test_limit
test_special_cases
test_table
test_write_times
test_turn
finish
