# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Numbers of scripts/bench: what the runs left as files $OUT/NAME.RUN with lines METRIC=VALUE. Sourced; the caller sets OUT. No
# function here starts a guest: tests/scripts/bench_test.sh has runs that are written down.

# values NAME METRIC: of all runs, one a line.
values() { sed -n "s/^$2=//p" "$OUT/$1".[0-9]* 2>/dev/null || true; }

# run_numbers NAME METRIC: the runs that have it, in the order of their numbers, one a line.
run_numbers() {
  local file
  for file in "$OUT/$1".[0-9]*; do
    [[ -r $file ]] && grep -q "^$2=" "$file" && printf '%s\n' "${file##*.}"
  done | sort -n || true
}

# middle: of the numbers on standard input; 0 where there are none.
middle() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] + 0 : (v[NR / 2] + v[NR / 2 + 1]) / 2; else print 0 }'; }

median() { values "$@" | middle; }

# spread NAME METRIC: the median of how far runs are from their median: half of the runs are nearer.
spread() {
  local center
  center=$(median "$@")
  values "$@" | awk -v m="$center" '{ d = $1 - m; print d < 0 ? -d : d }' | middle
}

# Load on the machine only adds to a time: the best run is the one it disturbed least.
best() { values "$@" | sort -g | head -n 1; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'; }

# pair_ratios OURS THEIRS METRIC: of each run that both have, one a line. The two of a pair ran one after the other, so that both had
# the machine's same mood.
pair_ratios() {
  local run ours theirs
  while read -r run; do
    [[ -r $OUT/$2.$run ]] || continue
    ours=$(sed -n "s/^$3=//p" "$OUT/$1.$run") theirs=$(sed -n "s/^$3=//p" "$OUT/$2.$run")
    [[ -n $theirs ]] || continue
    awk -v a="$ours" -v b="$theirs" 'BEGIN { if (b > 0) printf "%.4f\n", a / b }'
  done < <(run_numbers "$1" "$3")
}

# pairs_text OURS THEIRS METRIC: "0.44 (0.40-0.47)", the median and the ends of the pairs' ratios; "-" without a pair.
pairs_text() {
  pair_ratios "$@" | sort -g | awk '{ v[NR] = $1 } END {
    if (!NR) { printf "-"; exit }
    m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
    if (NR == 1) printf "%.2f", m; else printf "%.2f (%.2f-%.2f)", m, v[1], v[NR] }'
}

# slope: of the line that fits pairs "X Y" on standard input best (least squares); "-" where they do not make one.
slope() {
  awk '{ n++; x += $1; y += $2; xx += $1 * $1; xy += $1 * $2 } END {
    d = n * xx - x * x
    if (n < 2 || d == 0) printf "-"; else printf "%.3f", (n * xy - x * y) / d }'
}

at_most() { awk -v a="$1" -v b="$2" 'BEGIN { print (a != "-" && a + 0 <= b + 0) }'; }

# results_in FOLDER: names of what was measured there.
results_in() { find "$1" -maxdepth 1 -name '*.[0-9]*' -printf '%f\n' | sed -nE 's/^([a-z][A-Za-z0-9-]*)\.[0-9]+$/\1/p' | sort -u; }
