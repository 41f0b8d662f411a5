# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Whether a child still runs. Sourced.

# is_running PID: kill -0 is not enough. It takes a child for alive that has ended and that bash has not waited for yet, and bash 5.2
# can overlook the signal of a child's end until its next child ends: a loop that starts no program then waits for ever.
is_running() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  [[ $stat != *') Z '* ]]
}
