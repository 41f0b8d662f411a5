#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The faults of tests/fuzz/seeded can still be planted in the sources, and each says what it is; one that cannot, or does not, is
# named. Nothing is built.
. "$(dirname "$0")/checks.sh"
command -v git >/dev/null && git -C "$REPO" rev-parse --git-dir >/dev/null 2>&1 \
  || { echo "skipped: without git no patch can be tried" && exit 77; }

expect 'every seeded fault can be planted' "$REPO/scripts/fuzz" --check-seeded
expect 'there are ten at least' test "$(compgen -G "$REPO/tests/fuzz/seeded/*.patch" | wc -l)" -ge 10
expect 'each is listed' grep -q '^seeded  10-' <("$REPO/scripts/fuzz" --list)
expect 'each source is a target' same "$(cd "$REPO/tests/fuzz" && find . -name '*_fuzz.cpp' -exec basename {} _fuzz.cpp \; | sort)" \
  "$("$REPO/scripts/fuzz" --list | sed -n 's/^target  //p')"
expect 'a target that is not there is a wrong call' same \
  "$("$REPO/scripts/fuzz" no_such_target 2>&1)" "fuzz: there is no target 'no_such_target'; see scripts/fuzz --help"
expect 'and so is a fault' same \
  "$("$REPO/scripts/fuzz" --seeded 99 2>&1)" "fuzz: there is no seeded fault '99'; see scripts/fuzz --help"

# One patch with one thing wrong at a time, among faults of its own.
. "$REPO/scripts/lib/build.sh"
. "$REPO/scripts/lib/fuzz-run.sh"
. "$REPO/scripts/lib/fuzz-seeded.sh"
SEEDED=$WORK
good=$(compgen -G "$REPO/tests/fuzz/seeded/01-*.patch")

# finds TEXT: the check fails and says it.
finds() {
  local status=0
  check_seeded >"$WORK/out" 2>&1 || status=$?
  cat "$WORK/out"
  ((status != 0)) && grep -qF -- "$1" "$WORK/out"
}

cp "$good" "$WORK/01-x.patch"
expect 'a good one' check_seeded
sed 's/^Like:.*//' "$good" >"$WORK/01-x.patch"
expect 'one that does not say what it is like' finds '01-x.patch has no line "Like:"'
sed 's/^Target:.*/Target: nothing/' "$good" >"$WORK/01-x.patch"
expect 'one whose target is not there' finds '01-x.patch: there is no target "nothing"'
sed 's/^-  .*/-  something that was never there/' "$good" >"$WORK/01-x.patch"
expect 'one that does not apply' finds '01-x.patch does not apply: make it anew against the sources as they are'

finish
