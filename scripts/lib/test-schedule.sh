# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Runs the tests of a plan, two at a time, each only if it still fits into the time. Knows no clock and no processes: these are
# functions of whoever sources this (scripts/lib/test-lab.sh; tests/scripts/plan_test.sh has a clock and tests that are made up):
#   look_at_clock               sets now, in seconds
#   start_test NAME             starts a test and does not wait for it
#   await_test                  waits until a test has ended, and sets ended and status; ended is empty when the last moment has come
#   end_tests NAME…             ends tests that still run
#   report_end NAME STATUS SECONDS EXPECTED    STATUS is "limit" for a test that had to be ended
#   report_skip NAME EXPECTED
# (SC2034, SC2154: schedule's variables are seen by these functions and set by them.)

# schedule LIMIT GUESS <plan: the lines of plan_order. Tests of the core are always started; others only if they are expected to end
# before LIMIT seconds on the clock, 0 for no limit. GUESS is the machine's slowness until tests have shown it. slowness is a
# variable of the caller, which has the last value afterwards.
schedule() {
  local limit=$1 guess=$2 now=0 ended='' status=0 name
  local -a waiting=() measured=()
  local -A class=() seconds=() began=()
  read_plan
  while :; do
    start_what_fits
    ((${#began[@]} > 0)) || break
    await_test
    look_at_clock
    if [[ -n $ended ]]; then
      note_end "$ended" "$status"
    else
      end_at_last_moment
    fi
  done
  for name in "${waiting[@]}"; do
    report_skip "$name" "$(plan_here "${seconds[$name]}" "$slowness")"
  done
}

read_plan() {
  local its_class its_name its_turn its_seconds
  while IFS=$'\t' read -r its_class its_name its_turn its_seconds; do
    waiting+=("$its_name")
    class[$its_name]=$its_class seconds[$its_name]=$its_seconds
  done
}

# Those that do not fit stay: a wait later they may, when tests turn out to be faster than they were thought to be.
start_what_fits() {
  local index name
  look_at_clock
  slowness=$(plan_slowness "$guess" "${measured[@]}")
  for index in "${!waiting[@]}"; do
    ((${#began[@]} < 2)) || return 0
    name=${waiting[index]}
    if ((limit == 0 || class[$name] == 0)) || plan_fits "$now" "${seconds[$name]}" "$slowness" "$limit"; then
      unset "waiting[index]"
      began[$name]=$now
      start_test "$name"
    fi
  done
}

# Only tests that passed tell how slow the machine is: a failure or a skip may come early or late.
note_end() {
  local took=$((now - ${began[$1]}))
  [[ $2 != 0 ]] || measured+=("$took" "${seconds[$1]}")
  report_end "$1" "$2" "$took" "$(plan_here "${seconds[$1]}" "$slowness")"
  unset "began[$1]"
}

# Whatever is not of the core is ended.
end_at_last_moment() {
  local name
  local -a late=()
  for name in "${!began[@]}"; do
    ((class[$name] == 0)) || late+=("$name")
  done
  ((${#late[@]} > 0)) || return 0
  end_tests "${late[@]}"
  look_at_clock
  for name in "${late[@]}"; do
    note_end "$name" limit
  done
}
