#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy on our sources, with clang's compile commands. Results are kept by content, so that only what changed (a
# source, a header, the checks) is analysed again. Files may be given as arguments. The whole takes 20 minutes of one CPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=build/tidy-cache
mkdir -p "$cache"
cmake --preset tidy >/dev/null
export common
common=$({ cat .clang-tidy firmware/efi/.clang-tidy; git ls-files '*.hpp' | sort | xargs cat; } | sha256sum | cut -d' ' -f1)

tidy_one() {
  local key
  key=build/tidy-cache/$({ echo "$common"; cat "$1"; } | sha256sum | cut -d' ' -f1)
  [[ -e $key ]] && return 0
  clang-tidy -p build/tidy --quiet "$1" 2>/dev/null && : >"$key"
}
export -f tidy_one

if (($#)); then
  printf '%s\n' "$@"
else
  git ls-files 'vmm/*.cpp' 'devices/*.cpp' 'firmware/*.cpp'
fi | xargs -P "$(nproc)" -I{} bash -c 'tidy_one {} || { echo "clang-tidy: {}"; exit 1; }'
