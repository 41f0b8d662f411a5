#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy on our sources with the compile commands of the ci build. Results are kept by content, so that only what
# changed (a source, a header, the checks) is analysed again. Files may be given as arguments.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=build/tidy-cache
mkdir -p "$cache"
export common
common=$({ cat .clang-tidy; git ls-files '*.hpp' | sort | xargs cat; } | sha256sum | cut -d' ' -f1)

tidy_one() {
  local key
  key=build/tidy-cache/$({ echo "$common"; cat "$1"; } | sha256sum | cut -d' ' -f1)
  [[ -e $key ]] && return 0
  clang-tidy -p build/ci --quiet "$1" 2>/dev/null && : >"$key"
}
export -f tidy_one

if (($#)); then
  printf '%s\n' "$@"
else
  git ls-files 'vmm/*.cpp' 'devices/*.cpp' 'firmware/*.cpp'
fi | xargs -P "$(nproc)" -I{} bash -c 'tidy_one {} || { echo "clang-tidy: {}"; exit 1; }'
