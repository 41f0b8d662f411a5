# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Runs libFuzzer's binaries: build, search, finds made small, corpora made small. Sourced by scripts/fuzz.

GPUVM_FUZZ_PACKAGES=(clang lld libclang-rt-dev libgtest-dev libgmock-dev)
# One input that takes longer is a find, and so is one that needs more memory.
FUZZ_LIMITS=(-timeout=10 -rss_limit_mb=3072 -malloc_limit_mb=1024)
declare -a fuzzers=() # processes that run

# Every target, sorted.
all_targets() {
  sed -n 's/^gpuvm_fuzz_target(\([a-z0-9_]*\) .*/\1/p' "$GPUVM_REPO/tests/fuzz/CMakeLists.txt" | sort
}

list_all() {
  local patch
  all_targets | sed 's/^/target  /'
  for patch in "$SEEDED"/*.patch; do
    printf 'seeded  %-40s %s\n' "$(basename "$patch" .patch)" "$(patch_head "$patch" Target)"
  done
}

# check_targets NAME…: they exist.
check_targets() {
  local name
  for name; do
    all_targets | grep -qxF -- "$name" || wrong_call "there is no target '$name'"
  done
}

# stop_fuzzers: all that still run, and waits for them.
stop_fuzzers() {
  local process
  for process in "${fuzzers[@]}"; do
    kill "$process" 2>/dev/null || true
  done
  for process in "${fuzzers[@]}"; do
    wait "$process" 2>/dev/null || true
  done
  fuzzers=()
}

# start_fuzzers BINARY NAME CORPUS FINDS SECONDS JOBS: that many processes, which share what they find in CORPUS. They begin with the
# repository's corpus, too, unless `with_corpus` says otherwise.
start_fuzzers() {
  local binary=$1 name=$2 corpus=$3 finds=$4 seconds=$5 jobs=$6 job seeds=()
  ((!with_corpus)) || seeds=("$GPUVM_REPO/tests/fuzz/corpus/$name")
  rm -f "$GPUVM_LOG/fuzz-$name-"*.log
  mkdir -p "$GPUVM_LOG" "$corpus" "$finds"
  for ((job = 1; job <= jobs; job++)); do
    "$binary" "${FUZZ_LIMITS[@]}" -max_total_time="$seconds" -reload=5 -print_final_stats=1 -seed=$((RANDOM + job)) \
      -artifact_prefix="$finds/" "$corpus" "${seeds[@]}" \
      >"$GPUVM_LOG/fuzz-$name-$job.log" 2>&1 </dev/null &
    fuzzers+=($!)
  done
}

# number NAME KEY: the sum, over all processes, of a number of libFuzzer's last words.
number() {
  cat "$GPUVM_LOG/fuzz-$1-"*.log | awk -v key="stat::$2:" '$1 == key { sum += $2 } END { print sum + 0 }'
}

# coverage_of NAME: the edges that the best process has reached.
coverage_of() {
  cat "$GPUVM_LOG/fuzz-$1-"*.log | awk '{ for (i = 1; i < NF; i++) if ($i == "cov:" && $(i + 1) > most) most = $(i + 1) } END { print most + 0 }'
}

# said_of FILE…: the first line of a log that says what is wrong.
said_of() {
  cat "$@" 2>/dev/null | grep -m 1 -aoE 'broken: .*|[^ ]*runtime error: .*|Assertion .* failed.*|ERROR: (Address|Leak|Undefined)[A-Za-z]*Sanitizer: .*|ERROR: libFuzzer: .*|terminate called .*' \
    | sed -E 's/ on (unknown )?address 0x[0-9a-f]+.*//; s/^ERROR: //; s/==[0-9]+== *//' | cut -c 1-110 || true
}

# make_small BINARY INPUT: INPUT.small beside it, where libFuzzer can make it smaller within a minute.
make_small() {
  quietly fuzz-minimize "$1" "${FUZZ_LIMITS[@]}" -minimize_crash=1 -max_total_time=60 -exact_artifact_path="$2.small" "$2" 2>/dev/null || true
  [[ -s $2.small ]] || cp "$2" "$2.small"
}

# tell_finds BINARY NAME FINDS: one paragraph for each, on stdout.
tell_finds() {
  local binary=$1 name=$2 find
  for find in "$3"/*-*; do
    [[ -f $find && $find != *.small ]] || continue
    case ${find##*/} in
      crash-* | leak-*) make_small "$binary" "$find" ;;
      timeout-* | oom-*) cp "$find" "$find.small" ;;
      *) continue ;; # slow-unit
    esac
    "$binary" "${FUZZ_LIMITS[@]}" "$find.small" >"$GPUVM_LOG/fuzz-find-$name.log" 2>&1 </dev/null || true
    printf 'FOUND  %s: %s\n       %s (%d bytes)\n       again: %s %s\n' "$name" "$(said_of "$GPUVM_LOG/fuzz-find-$name.log")" \
      "$find" "$(wc -c <"$find")" "$binary" "$find.small"
  done
}

# is_found FINDS: something is there that is no slow unit.
is_found() {
  compgen -G "$1/crash-*" >/dev/null || compgen -G "$1/leak-*" >/dev/null || compgen -G "$1/timeout-*" >/dev/null \
    || compgen -G "$1/oom-*" >/dev/null
}

# keep_new BINARY NAME CORPUS MOST: the smallest inputs that reach what the repository's do not.
keep_new() {
  local binary=$1 name=$2 merged=build/fuzz/merged/$2 most=$4 kept=0 input
  rm -rf "$merged"
  mkdir -p "$merged" "tests/fuzz/corpus/$name"
  cp -r "tests/fuzz/corpus/$name/." "$merged"
  quietly "fuzz-merge-$name" "$binary" "${FUZZ_LIMITS[@]}" -merge=1 -use_counters=0 "$merged" "$3" || return 1
  while read -r input && ((kept < most)); do
    [[ -e tests/fuzz/corpus/$name/$input ]] && continue
    cp "$merged/$input" "tests/fuzz/corpus/$name/"
    kept=$((kept + 1))
  done < <(find "$merged" -type f -printf '%s %f\n' | sort -n | cut -d ' ' -f 2)
  printf '       kept %d inputs of %s\n' "$kept" "$name"
}

# run_targets SECONDS JOBS KEEP [NAME…]
run_targets() {
  local seconds=$1 jobs=$2 keep=$3 name found=0 binary finds corpus before
  shift 3
  (($#)) || mapfile -t names < <(all_targets)
  check_targets "${names[@]}"
  install_packages "${GPUVM_BUILD_PACKAGES[@]}" "${GPUVM_FUZZ_PACKAGES[@]}"
  stage "building ${#names[@]} targets"
  build_preset fuzz "${names[@]/#/fuzz_}" || die "the build failed"
  printf '%-18s %9s %9s %8s %6s\n' target seconds runs edges new
  for name in "${names[@]}"; do
    binary=build/fuzz/tests/fuzz/fuzz_$name finds=build/fuzz/finds/$name corpus=build/fuzz/corpus/$name
    rm -rf "$finds"
    mkdir -p "$corpus" "tests/fuzz/corpus/$name"
    before=$(find "$corpus" -type f | wc -l)
    start_fuzzers "$binary" "$name" "$corpus" "$finds" "$seconds" "$jobs"
    wait "${fuzzers[@]}" || true
    fuzzers=()
    printf '%-18s %9d %9d %8d %6d\n' "$name" "$seconds" "$(number "$name" number_of_executed_units)" "$(coverage_of "$name")" \
      $(($(find "$corpus" -type f | wc -l) - before))
    if is_found "$finds"; then
      found=1
      tell_finds "$binary" "$name" "$finds"
    elif ((keep > 0)); then
      keep_new "$binary" "$name" "$corpus" "$keep" || die "the corpus of $name could not be merged"
    fi
  done
  return "$found"
}
