# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A command in a lab host, for tests. Sourced.

# run_lab OUTPUT OPTION… -- COMMAND…: scripts/lab with these; what it prints is in the file OUTPUT, too. A lab host that hangs
# in its own boot, which emulation does now and then (see docs/lab.md), is started once more; one that hangs later is not. So is
# one whose emulation aborts under OVMF (status 126).
run_lab() {
  local output=$1 status=0
  shift
  scripts/lab "$@" | tee "$output" || status=$?
  if ((status == 126)) || { ((status == 125)) && [[ ! -s $output ]]; }; then
    echo "The lab host did not start, or QEMU's emulation of it aborted; once more."
    status=0
    scripts/lab "$@" | tee "$output" || status=$?
  fi
  return "$status"
}
