# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The lab's tests as processes: the hands of scripts/lib/test-schedule.sh. Each test is a process group of its own, so that it can be
# ended with all that it has started. Sourced by scripts/test.
# (SC2034, SC2154: variables are schedule's or those of scripts/test.)

LAB_TABLE=tests/lab/plan.tsv
LAB_TIMES=$GPUVM_LOG/lab-times.tsv
# --within: what still runs so many seconds after the limit is ended: half a minute before 8 minutes are over.
LAB_LATEST=450
LAB_GRACE=10 # seconds for it to end by itself
declare -A lab_names=()
lab_timer='' slowness=100

# ---- What the schedule asks for.

look_at_clock() {
  now=$SECONDS
}

start_test() {
  stage "lab: tests/lab/$1_test.sh${minutes:+ (${PLAN_CLASSES[class[$1]]}; about $(plan_here "${seconds[$1]}" "$slowness") s)}"
  LAB_SLOWNESS=$slowness setsid "tests/lab/$1_test.sh" >"$GPUVM_LOG/test-$1_test.log" 2>&1 </dev/null 9>&- &
  lab_names[$!]=$1
}

await_test() {
  local pid=''
  status=0
  wait -n -p pid "${!lab_names[@]}" ${lab_timer:+"$lab_timer"} || status=$?
  ended=''
  [[ -n ${pid:-} ]] || die "the lab tests that run cannot be waited for"
  if [[ $pid == "$lab_timer" ]]; then
    lab_timer=''
  else
    ended=${lab_names[$pid]}
    unset "lab_names[$pid]"
  fi
}

# First they are asked, so that a lab host is shut down as it should be; LAB_GRACE seconds later they are killed.
end_tests() {
  local pid tries
  local -a groups=()
  for pid in "${!lab_names[@]}"; do
    [[ " $* " != *" ${lab_names[$pid]} "* ]] || groups+=("$pid")
  done
  signal_groups TERM
  for ((tries = 0; tries < LAB_GRACE * 10; tries++)); do
    signal_groups 0 || break
    sleep 0.1
  done
  signal_groups KILL || true
  for pid in "${groups[@]}"; do
    wait "$pid" 2>/dev/null || true # or the shell reports the kill
    unset "lab_names[$pid]"
  done
}

# Fails when none of the groups is left. A process that has just been started may not have its group yet.
signal_groups() {
  local group any=1
  for group in "${groups[@]}"; do
    if kill -"$1" -- "-$group" 2>/dev/null || kill -"$1" "$group" 2>/dev/null; then any=0; fi
  done
  return "$any"
}

report_end() {
  local log=$GPUVM_LOG/test-$1_test.log reason
  if [[ $2 != 0 && $2 != 77 ]]; then
    tail -n 60 "$log"
    add_reasons "$1_test" "$log"
  fi
  if [[ $2 == limit ]]; then
    verdict "lab/$1_test" "$2" "$3" "ended at the limit; about $4 s were expected"
    return 0
  fi
  # The lab is there, or nothing runs; what a test may miss comes from another Debian release, and it says so.
  reason=$(skip_reason "$2" "$log")
  [[ $2 != 77 || -n $reason ]] || { verdict "lab/$1_test" 1 "$3" "it skips itself and does not say why" && return 0; }
  verdict "lab/$1_test" "$2" "$3" "${reason#skipped: }"
  [[ $2 != 0 || -n $only ]] || printf '%s\t%s\n' "$1" "$3" >>"$LAB_TIMES" || true
}

report_skip() {
  local whose=''
  ((class[$1] > 2)) || whose="; it is of this commit's turn, so four commits in a row will not have run it"
  verdict "lab/$1_test" 77 0 "not started within $minutes minutes, it takes about $2 s here$whose"
}

# ---- A run.

# Ctrl-C and the like end the tests that run, which otherwise go on by themselves.
end_lab() {
  ((${#lab_names[@]} == 0)) || end_tests "${lab_names[@]}"
  stop_timer
}

stop_timer() {
  [[ -n $lab_timer ]] || return 0
  kill "$lab_timer" 2>/dev/null || true
  wait "$lab_timer" 2>/dev/null || true
  lab_timer=''
}

lab_plan() {
  local -a changed=()
  if [[ -n $only ]]; then
    printf '0\t%s\tcore\t1\n' "$only"
  elif [[ -n $minutes ]]; then
    mapfile -t changed < <(changed_files)
    table_rows "$LAB_TABLE" | plan_order "$turn" "${changed[@]}"
  else
    table_rows "$LAB_TABLE" | plan_longest_first
  fi
}

# The speed of this machine beside that of the table's, in per cent.
guess_slowness() {
  local reference
  reference=$(table_speed "$LAB_TABLE")
  plan_ratio "${speed_walls[-1]}" "${reference:-${speed_walls[-1]}}"
}

prepare_lab() {
  export LAB_GPUVM=$GPUVM_REPO/build/ci/gpuvm # for the lab's tests, too
  begin_cost 'preparing the lab'
  stage "lab: kernels and guest images"
  quietly lab-prepare tests/lab/lib/prepare.sh || die "the lab cannot be prepared"
}

# Two at a time: each lab host has one CPU. The variables of scripts/test say which: only, minutes, turn.
run_lab() {
  local limit=$((${minutes:-0} * 60)) latest
  begin_cost lab
  trap end_lab EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  trap 'exit 141' PIPE
  [[ -n $only ]] || : >"$LAB_TIMES"
  if ((limit > 0)); then
    measure_speed 'before the lab'
    latest=$((limit + LAB_LATEST - SECONDS))
    sleep $((latest > 0 ? latest : 0)) &
    lab_timer=$!
  fi
  schedule "$limit" "$(guess_slowness)" < <(lab_plan)
  stop_timer
  trap - EXIT TERM HUP PIPE
  ((limit == 0)) || stage "lab: tests were expected to take $slowness % of the seconds in $LAB_TABLE"
}

# keep_times: for --write-times; after the last look at the machine's speed.
keep_times() {
  printf 'speed\t%s\nend\n' $(((speed_walls[0] + speed_walls[-1]) / 2)) >>"$LAB_TIMES"
}
