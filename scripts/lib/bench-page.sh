# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Parts of pages that scripts/bench writes. Sourced, after build.sh.

# replace_block FILE NAME: what stands between the lines "<!-- NAME: begin -->" and "<!-- NAME: end -->" becomes standard input.
replace_block() {
  local file=$1 begin="<!-- $2: begin -->" end="<!-- $2: end -->" text
  grep -qxF -- "$begin" "$file" && grep -qxF -- "$end" "$file" || die "$file has no lines '$begin' and '$end'"
  text=$(cat)
  TEXT=$text awk -v begin="$begin" -v end="$end" '
    $0 == begin { print; print ENVIRON["TEXT"]; inside = 1; next }
    $0 == end { inside = 0 }
    !inside' "$file" >"$file.tmp"
  mv "$file.tmp" "$file"
}
