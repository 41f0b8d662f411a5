# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# What the lab tests of gpuvm test share: a job, its report and its artifacts. Sourced inside the lab host after inside.sh; build_job_guest
# outside of it, after outside.sh.

# The smallest guest, as $OUT/job, a kernel.
build_job_guest() {
  cc -Os -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
    -mgeneral-regs-only -mno-red-zone -nostdlib -static -Wl,-Ttext=0x1000000,--build-id=none,-N,--no-warn-rwx-segments \
    -o "$OUT/job" tests/lab/guest/job.c
}

# make_small_guest NAME <configuration: $WORK/NAME.toml, of a guest that is $OUT/job; boot.cmdline says what it does.
make_small_guest() {
  {
    printf 'name = "%s"\n[machine]\nmemory = "128MiB"\nconfig_ports = "on"\n[cpu]\nhide = ["xsave"]\n' "$1"
    printf '[boot]\nkernel = "%s"\n' "$LAB_OUT/job"
    cat
  } >"$WORK/$1.toml"
}

# start_job NAME [OPTION…]: gpuvm test in the background, as start_guest; its folder is $WORK/NAME.out. JOB_CONFIG, if it is set, is
# another configuration's name.
start_job() {
  local name=$1
  shift
  job=$name
  CONSOLE=$WORK/$name.console
  LOG=$WORK/$name.log
  rm -rf "$WORK/$name.out"
  : >"$CONSOLE"
  "$GPUVM" test --artifacts "$WORK/$name.out" --result-json "$WORK/$name.json" "$@" "$WORK/${JOB_CONFIG:-$name}.toml" \
    >"$CONSOLE" 2>"$LOG" </dev/null &
  guest=$!
}

# Of the result: field KEY.
field() { sed -n "s/^  \"$1\": \"\\{0,1\\}\\([^\",]*\\)\"\\{0,1\\},\\{0,1\\}\$/\\1/p" "$WORK/$job.json"; }

has_artifacts() {
  local name
  for name in console.log gpuvm.log events.jsonl inspect.json resets.json resolved.toml result.json; do
    # One guest prints nothing.
    [[ -s $WORK/$job.out/$name || ($job == mute && $name == console.log && -e $WORK/$job.out/$name) ]] \
      || { echo "$name is missing or empty"; return 1; }
  done
  [[ -e $WORK/$job.out/dmesg.log ]] || { echo 'dmesg.log is missing'; return 1; } # of a quiet kernel it may be empty
  cmp "$WORK/$job.out/result.json" "$WORK/$job.json"
}

# comes_to STATUS CHANNEL OUTCOME [SECONDS]: the job that was started ends so, with all that it must leave, and is never silent for so long.
comes_to() {
  wait_guest "${4:-240}"
  tail -n 1 "$LOG"
  expect "$job: exit status $1" test "$guest_status" = "$1"
  expect "$job: by $2, $3" test "$(field channel),$(field outcome),$(field exit_status)" = "$2,$3,$1"
  # Where a device does not come back an owner's process has a word of its own about it, at last.
  local last='tail -n 1 "$LOG"'
  [[ $1 != 120 ]] || last='grep "^gpuvm test: " "$LOG" | tail -n 1'
  expect "$job: the last line says it" eval "$last"' | grep -q "^gpuvm test: $(field outcome) ("'
  expect "$job: all artifacts" has_artifacts
}
