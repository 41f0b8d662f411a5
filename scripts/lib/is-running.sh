# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Whether a child still runs, what is below it, and its end. Sourced.

# is_running PID: kill -0 is not enough. It takes a child for alive that has ended and that bash has not waited for yet, and bash 5.2
# can overlook the signal of a child's end until its next child ends: a loop that starts no program then waits for ever.
is_running() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  [[ $stat != *') Z '* ]]
}

# children PROCESS: those of all its threads, one a line.
children() { cat "/proc/$1/task"/*/children 2>/dev/null | tr ' ' '\n' | sed '/^$/d' || true; }

# processes_of PROCESS: it and all that are below it, one a line. A monitor may be several: gpuvm with an owner's process, and what runs for
# its guest.
processes_of() {
  local child
  echo "$1"
  for child in $(children "$1"); do processes_of "$child"; done
}

# end_processes PROCESS…: kills each and all that are below it, and waits until they are gone, at most 10 s for each. What is below ends
# after what is above it, and has the devices until then. Who is above is killed first: it would clean up for the other.
end_processes() {
  local process end
  local -a all=()
  for process in "$@"; do
    while read -r process; do all+=("$process"); done < <(processes_of "$process")
  done
  for process in "${all[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
  for process in "$@"; do wait "$process" 2>/dev/null || true; done
  for process in "${all[@]}"; do
    end=$((SECONDS + 10))
    while is_running "$process" && ((SECONDS < end)); do sleep 0.05; done
  done
}
