# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Lines of a console, with a time limit for each wait. Sourced.
# (SC2034: the caller uses `line`.)

line_begun=''

# read_line FD SECONDS: the next line from FD into `line`; status 1 when it has not come whole yet. What had come of it is kept for
# the next call: `read` alone would drop it, and the rest would look like a line of its own.
read_line() {
  local part=''
  if ! IFS= read -r -t "$2" part <&"$1"; then
    line_begun+=$part
    return 1
  fi
  line=$line_begun$part
  line_begun=''
}
