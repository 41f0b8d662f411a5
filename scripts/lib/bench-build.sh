# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# scripts/bench build: what a build costs, from a clean checkout, on two CPUs and without a ccache. Sourced; the caller sets OUT, runs,
# demo.
# (SC2034, SC2154: scripts/bench's.)

DEMO_TARGET=300
# What a developer edits: a file that few use, one in the middle, a header of the lowest room.
BUILD_EDITS=(vmm/cli/main.cpp devices/pci/ecam.cpp vmm/base/result.hpp)

# dearest NINJA_LOG COUNT: the commands of a build that took longest, lines "SECONDS OUTPUT" (ninja's log, version 5 to 7: start and end
# in ms, time, output, hash).
dearest() {
  awk -F '\t' 'NF >= 5 && !seen[$4]++ { printf "%.1f %s\n", ($2 - $1) / 1000, $4 }' "$1" | sort -k 1,1gr -k 2 | head -n "$2"
}

# dearest_rooms NINJA_LOG COUNT: the same by folder, in all; lines "SECONDS FILES FOLDER".
dearest_rooms() {
  awk -F '\t' 'NF >= 5 && $4 ~ /\.(o|gch|pch)$/ && !seen[$4]++ {
      room = $4
      sub(/\/CMakeFiles\/.*/, "", room)
      time[room] += ($2 - $1) / 1000
      files[room]++
    }
    END { for (room in time) printf "%.1f %d %s\n", time[room], files[room], room }' "$1" | sort -k 1,1gr -k 3 | head -n "$2"
}

# timed FILE COMMAND…: appends "NAME=SECONDS" to FILE, where NAME is $what.
timed() {
  local file=$1 begun=$EPOCHREALTIME
  shift
  "$@" || return 1
  awk -v a="$begun" -v b="$EPOCHREALTIME" -v what="$what" 'BEGIN { printf "%s=%.1f\n", what, b - a }' >>"$file"
}

# on_two_cpus COMMAND…: where there are more.
on_two_cpus() { if (($(nproc) > 2)); then taskset -c 0,1 "$@"; else "$@"; fi; }

# build_once RUN: in a clone of what is committed, which has nothing but that.
build_once() {
  local clone=$OUT/checkout file=$OUT/gpuvm.$1 edit what
  rm -rf "$clone"
  git clone -q --no-hardlinks "$GPUVM_REPO" "$clone"
  export CCACHE_DISABLE=1
  (
    cd "$clone"
    stage "run $1: the whole build"
    what=configure timed "$file" quietly bench-configure on_two_cpus cmake --preset release || exit 1
    what=seconds timed "$file" quietly bench-build on_two_cpus cmake --build --preset release || exit 1
    cp build/release/.ninja_log "$OUT/ninja_log.whole"
    what=nothing timed "$file" quietly bench-build on_two_cpus cmake --build --preset release || exit 1
    for edit in "${BUILD_EDITS[@]}"; do
      stage "run $1: again, after a change of $edit"
      printf '\n' >>"$edit"
      what=edit_$(tr -c 'a-z\n' '_' <<<"${edit%.*}") timed "$file" quietly bench-build on_two_cpus cmake --build --preset release || exit 1
    done
  )
}

# demo_stages LOG: how long each of the demo's stages took, as lines stage_NAME=SECONDS, by the lines "[  12 s] NAME …" that begin them.
demo_stages() {
  sed -nE 's/^\[ *([0-9]+) s\] ([A-Za-z]+).*/\1 \2/p' "$1" | awk '
    what != "" { time[what] += $1 - begun }
    { what = tolower($2); begun = $1 }
    END { for (what in time) printf "stage_%s=%d\n", what, time[what] }' | sort
}

# demo_once RUN: the README's first command, which also fetches what the lab needs.
demo_once() {
  local clone=$OUT/checkout what=demo
  rm -rf "$clone"
  git clone -q --no-hardlinks "$GPUVM_REPO" "$clone"
  stage "run $1: scripts/demo (what it says is in $OUT/demo.log)"
  (cd "$clone" && CCACHE_DISABLE=1 timed "$OUT/demo.$1" on_two_cpus scripts/demo >"$OUT/demo.log" 2>&1) || { tail -n 5 "$OUT/demo.log" >&2 && return 1; }
  demo_stages "$OUT/demo.log" >>"$OUT/demo.$1"
}

measure_build() {
  local run
  targets='"demo":'$DEMO_TARGET devices=none memory=0
  install_packages "${GPUVM_BUILD_PACKAGES[@]}" git
  git -C "$GPUVM_REPO" diff --quiet HEAD -- || echo "  what is not committed is not measured" >&2
  for ((run = 1; run <= runs; run++)); do
    [[ $demo == --demo-only ]] || build_once "$run" || return 1
    [[ -z $demo ]] || demo_once "$run" || return 1
  done
  rm -rf "$OUT/checkout"
}

print_table_build() {
  local edit seconds files where
  printf '\na clean checkout on two CPUs without a ccache, median of %d runs\n' "$runs"
  printf '%-44s %17s\n' 'configure, s' "$(amount gpuvm configure)" 'the whole build (release), s' "$(amount gpuvm seconds)" \
    'a build of nothing, s' "$(amount gpuvm nothing)"
  for edit in "${BUILD_EDITS[@]}"; do
    printf '%-44s %17s\n' "after a change of $edit, s" "$(amount gpuvm "edit_$(tr -c 'a-z\n' '_' <<<"${edit%.*}")")"
  done
  [[ -z $(values demo demo) ]] || printf '%-44s %17s\n' "the README's first command, s" "$(amount demo demo)"
  cat "$OUT"/demo.[0-9]* 2>/dev/null | sed -nE 's/^stage_(.*)=(.*)/\1 \2/p' | while read -r where seconds; do
    printf '  of these, "%s" %s\n' "$where" "$seconds"
  done
  [[ -r $OUT/ninja_log.whole ]] || return 0
  printf '\nthe dearest commands of a whole build, s of one CPU\n'
  dearest "$OUT/ninja_log.whole" 15 | while read -r seconds where; do printf '%8s  %s\n' "$seconds" "$where"; done
  printf '\nby room\n'
  dearest_rooms "$OUT/ninja_log.whole" 15 | while read -r seconds files where; do
    printf '%8s  %-32s %3d files\n' "$seconds" "$where" "$files"
  done
  printf '\n'
}

print_verdicts_build() {
  local value
  value=$(median demo demo)
  [[ -n $(values demo demo) ]] || { echo "not measured: the README's first command (--demo)" && return; }
  verdict "$(at_most "$value" $DEMO_TARGET)" "the README's first command: $value s, target at most $DEMO_TARGET"
}
