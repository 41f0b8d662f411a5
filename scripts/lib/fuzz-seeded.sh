# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Faults that are planted to see that the fuzz targets find them. Sourced by scripts/fuzz and by tests/scripts/seeded_test.sh.
#
# A patch of tests/fuzz/seeded begins with lines "Class:", "Like:" and "Target:", then says what it takes away.

SEEDED=$GPUVM_REPO/tests/fuzz/seeded

# patch_head FILE KEY: what its line of that key says.
patch_head() {
  sed -n "/^diff /q; s/^$2: *//p" "$1"
}

# check_seeded: one line for each patch that cannot be planted any more, or does not say what it is.
check_seeded() {
  local patch key target status=0
  for patch in "$SEEDED"/*.patch; do
    for key in Class Like Target; do
      [[ -n $(patch_head "$patch" "$key") ]] || { printf '%s has no line "%s:"\n' "${patch##*/}" "$key" && status=1; }
    done
    target=$(patch_head "$patch" Target)
    all_targets | grep -qxF -- "$target" || { printf '%s: there is no target "%s"\n' "${patch##*/}" "$target" && status=1; }
    git -C "$GPUVM_REPO" apply --check "$patch" \
      || { printf '%s does not apply: make it anew against the sources as they are\n' "${patch##*/}" && status=1; }
  done
  return "$status"
}

# choose_patches [NAME…]: the files of those that are named, or of all.
choose_patches() {
  local name files
  (($#)) || { printf '%s\n' "$SEEDED"/*.patch && return; }
  for name; do
    files=$(compgen -G "$SEEDED/${name%.patch}.patch" || compgen -G "$SEEDED/$name-*.patch") \
      || wrong_call "there is no seeded fault '$name'"
    printf '%s\n' "$files"
  done
}

# sync_copy: build/seeded has the sources as they are here. What is the same keeps its time, so that little is built.
sync_copy() {
  mkdir -p "$copy"
  git ls-files -z --cached --others --exclude-standard | perl -MFile::Compare -MFile::Copy -MFile::Path=make_path -MFile::Basename -n0e '
    chomp; next unless -f $_;
    $to = "'"$copy"'/$_"; next if -e $to && compare($_, $to) == 0;
    make_path(dirname($to)); copy($_, $to) or die "$to: $!"; chmod((stat $_)[2] & 07777, $to)'
  [[ -d $copy/.git ]] || git -C "$copy" init -q # so that git apply works there and not here
}

# build_copy TARGET…
build_copy() {
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  [[ -f $copy/build/fuzz/build.ninja ]] \
    || (cd "$copy" && quietly configure-seeded cmake --preset fuzz "${launcher[@]}") || return 1
  quietly build-seeded cmake --build "$copy/build/fuzz" --target "$@"
}

# search_seeded NAME TARGET SECONDS JOBS: sets `took` and `said`. Fails where nothing was found.
search_seeded() {
  local name=$1 target=$2 began=$SECONDS finds=build/fuzz/seeded/$1/finds
  rm -rf "build/fuzz/seeded/$name"
  mkdir -p "build/fuzz/seeded/$name/inputs" "tests/fuzz/corpus/$target"
  start_fuzzers "$copy/build/fuzz/tests/fuzz/fuzz_$target" "$target" "build/fuzz/seeded/$name/inputs" "$finds" "$3" "$4"
  while ! is_found "$finds" && ((SECONDS - began <= $3 + 30)) && kill -0 "${fuzzers[@]}" 2>/dev/null; do
    sleep 0.2
  done
  took=$((SECONDS - began))
  sleep 1 # what was found is still being told
  stop_fuzzers
  said=$(said_of "$GPUVM_LOG/fuzz-$target-"*.log)
  is_found "$finds"
}

# run_seeded SECONDS JOBS [NAME…]
run_seeded() {
  local seconds=$1 jobs=$2 patch name target missed=0 took=0 said='' copy=$GPUVM_REPO/build/seeded chosen patches=() targets=()
  shift 2
  chosen=$(choose_patches "$@") || exit 64
  mapfile -t patches <<<"$chosen"
  check_seeded || die "not every fault can be planted"
  install_packages "${GPUVM_BUILD_PACKAGES[@]}" "${GPUVM_FUZZ_PACKAGES[@]}"
  stage "copying the sources to $copy"
  sync_copy
  mapfile -t targets < <(for patch in "${patches[@]}"; do patch_head "$patch" Target | sed 's/^/fuzz_/'; done | sort -u)
  stage "building ${targets[*]} without a fault"
  build_copy "${targets[@]}" || die "the build failed"
  printf '| fault | target | seconds | what was said |\n|---|---|---|---|\n'
  for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch) target=$(patch_head "$patch" Target)
    git -C "$copy" apply "$patch" || die "$name does not apply"
    if ! build_copy "fuzz_$target"; then
      git -C "$copy" apply -R "$patch"
      die "the sources with $name cannot be built"
    fi
    if search_seeded "$name" "$target" "$seconds" "$jobs"; then
      printf '| %s | %s | %d | %s |\n' "$name" "$target" "$took" "$said"
    else
      printf '| %s | %s | - | NOT FOUND |\n' "$name" "$target"
      missed=1
    fi
    git -C "$copy" apply -R "$patch" || die "$name cannot be taken back; remove $copy"
  done
  return "$missed"
}
