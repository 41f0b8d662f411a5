# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Counts tests that have ended and says how: single commands, and CTest's suites. Sourced by scripts/test.

passed=0 failed=0 skipped=0
declare -a failures=() reasons=()

# verdict NAME STATUS [SECONDS [REASON]]: 77 is a skip, which must say why. Times are told from a second on. A failure without a
# reason tells its status.
verdict() {
  local time=''
  ((${3:-0} == 0)) || time=", $3 s"
  case $2 in
    0) passed=$((passed + 1)) && printf '  ok       %s%s\n' "$1" "$time" ;;
    77) skipped=$((skipped + 1)) && printf '  skipped  %s: %s\n' "$1" "${4:-no reason given}" ;;
    *) failed=$((failed + 1)) && failures+=("$1") && printf '  FAILED   %s (%s)%s\n' "$1" "${4:-status $2}" "$time" ;;
  esac
}

# skip_reason STATUS LOG: what a test that was skipped said of it.
skip_reason() {
  (($1 != 77)) || grep -i 'skip' "$2" | tail -n 1 || true
}

# add_reasons NAME LOG: for the end, what a test that failed said of it.
add_reasons() { mapfile -t -O "${#reasons[@]}" reasons < <(grep -a '^NOT OK' "$2" | head -n 5 | cut -c 1-300 | sed "s|^|$1: |"); }

# check NAME COMMAND…: one test that is a command; its output is shown when it fails.
check() {
  local name=$1 log=$GPUVM_LOG/test-${1//[^A-Za-z0-9_.-]/_}.log status=0 began=$SECONDS
  shift
  mkdir -p "$GPUVM_LOG"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0 && status != 77)); then
    tail -n 60 "$log"
    add_reasons "$name" "$log"
  fi
  verdict "$name" "$status" $((SECONDS - began)) "$(skip_reason "$status" "$log")"
}

# Runs the CTest suite of a preset and counts its tests one by one: run_ctest PRESET LABELS [NAMES].
run_ctest() {
  local preset=$1 labels=$2 name state seconds junit status=0 failed_before=$failed
  begin_cost "tests of $preset"
  stage "tests of build/$preset ($labels)"
  junit=$GPUVM_LOG/ctest-$preset.xml
  rm -f "$junit"
  (cd "build/$preset" && ctest -L "$labels" -R "${3:-.}" -j2 --output-on-failure --output-junit "$junit" \
    >"$GPUVM_LOG/ctest-$preset.log" 2>&1 </dev/null) || status=$?
  if ((status != 0)); then
    show_ctest_failures "$GPUVM_LOG/ctest-$preset.log" | tee "$GPUVM_LOG/ctest-$preset-failures.log"
    mapfile -t -O "${#reasons[@]}" reasons < <(grep -a -A 4 'Failure$' "$GPUVM_LOG/ctest-$preset-failures.log" | head -n 15 | cut -c 1-300)
  fi
  [[ -s $junit ]] || die "ctest wrote no results for $preset; see $GPUVM_LOG/ctest-$preset.log"
  while read -r name seconds state; do
    case $state in
      run) verdict "$preset/$name" 0 "$seconds" ;;
      skipped) verdict "$preset/$name" 77 0 "a tool or device it needs is missing" ;;
      *) verdict "$preset/$name" 1 "$seconds" ;;
    esac
  done < <(ctest_states "$junit")
  ((status == 0 || failed > failed_before)) || verdict "$preset/ctest" "$status"
}

# What the tests that failed said, without what GoogleTest says of those that passed: the last 60 lines of each.
show_ctest_failures() {
  perl -ne '
    sub show { print @said > 60 ? @said[-60 .. -1] : @said; @said = () }
    if (m{^\s*\d+/\d+ Test +#\d+:}) { show(); $failed = !/ Passed |\*\*\*Skipped/ }
    elsif (/^\d+% tests passed/) { show(); $failed = 0 }
    push @said, $_ if $failed && !/^\[(?: RUN|       OK|-------)|^ +Start +\d+:/;
    END { show() }' "$1"
}

# ctest_states JUNIT_FILE: a line "NAME SECONDS STATE" for each test. A test that said that it skips itself is skipped; one that CTest
# did not run for another reason, because its program is missing for instance, is notrun.
ctest_states() {
  perl -ne '
    if (/<testcase name="([^"]*)".* time="([^"]*)" status="([a-z]*)"/) { print "@test\n" if @test; @test = ($1, int $2, $3) }
    $test[2] = "skipped" if @test && /<skipped message="SKIP_/;
    END { print "@test\n" if @test }' "$1"
}

# The last lines of the script: its status is whether all went well. Reasons are said again: who keeps a part of a long output keeps its end.
print_totals() {
  ((${#reasons[@]} == 0)) || printf '  %s\n' "${reasons[@]}"
  ((failed == 0)) || printf 'Failed: %s\n' "${failures[*]}"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  ((failed == 0 && passed > 0))
}
