#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# scripts/bench hardware: what a start with H100s will take, computed from bench-hardware.tsv; see docs/hardware-estimate.md, where --write
# puts the tables.
# Usage: bench-hardware.sh [--write] [--page FILE] [NAME=VALUE]…: NAME of a figure; gpus=N and gib=N for one host of another kind.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
. "$here/build.sh"
. "$here/bench-page.sh"

page='' changes=''
while (($#)); do
  case $1 in
    --write) page=$GPUVM_REPO/docs/hardware-estimate.md ;;
    --page) page=${2:?--page needs a file} && shift ;;
    [a-z]*=*)
      [[ ${1#*=} =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "$1: a figure is a number such as 0.25"
      changes+=" $1"
      ;;
    *) die "'$1' is no NAME=VALUE; see scripts/bench --help" ;;
  esac
  shift
done
text=$(awk -v changes="$changes" -f "$here/bench-hardware.awk" "$here/bench-hardware.tsv")
if [[ -n $page ]]; then replace_block "$page" 'scripts/bench hardware' <<<"$text"; else printf '%s\n' "$text"; fi
