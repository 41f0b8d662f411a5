#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# scripts/bench table: the project's targets (bench-targets.tsv), what was reached, and whether they hold; as a table, and with --write as
# one in docs/performance.md, with a chart beside. Results are JSON files of scripts/bench: those named, else all in docs/benchmarks and
# build/bench.
# Usage: bench-targets.sh [--write] [--page FILE] [--chart FILE] [RESULT]…
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
. "$here/build.sh"
. "$here/bench-page.sh"

# flatten RESULT: lines for bench-judge.awk.
flatten() {
  jq -r --arg file "$1" '. as $r | to_entries[] | select(.value | type == "object") | .key as $name | .value | to_entries[]
    | select(.value | type == "object" and has("median")) | [$file, $r.benchmark, $r.date, $r.commit, $name, .key, .value.median,
      (.value.runs | map(tostring) | join(",")), (.value.values | map(tostring) | join(","))] | @tsv' "$1"
}

# judge RESULT…: a line for each target. What is no result is told.
judge() {
  local result flat
  flat=$(mktemp)
  for result in "$@"; do
    flatten "$result" >>"$flat" || printf '%s is no result of scripts/bench\n' "$result" >&2
  done
  sort -t $'\t' -k 3,3 -s "$flat" >"$flat.sorted"
  awk -f "$here/bench-judge.awk" "$flat.sorted" "$here/bench-targets.tsv"
  rm -f "$flat" "$flat.sorted"
}

# The table for a terminal. A ratio of few pairs says so.
print_table() {
  printf '%-42s %-8s %-9s %-20s %-9s %-14s %s\n' measure 'at most' reached 'of all runs' 'older' verdict 'runs, date, commit'
  awk -F '\t' '{
    line = sprintf("%-42s %-8s %-9s %-20s %-9s %s", $1, $2, $4, $5, $6, $8)
    if ($8 != "not measured") line = sprintf("%-108s %d%s, %s, %s", line, $7, $7 < 10 ? " (few)" : "", $9, $10)
    print line
  }'
  printf '%s\n' 'reached: the newest QEMU is the peer, and the ratio that of pairs; older: the same beside Debian 12'"'"'s QEMU, or its own figure'
}

# print_markdown: what no result here has, but the page, stays in it as it was: results are kept where somebody kept them.
print_markdown() {
  printf '| measure | at most | reached | of all runs | older QEMU | | runs, date, commit |\n|---|---|---|---|---|---|---|\n'
  awk -F '\t' -v page="$page" '
  BEGIN {
    while ((getline line < page) > 0) {
      split(line, cell, / *\| */)
      if (cell[7] == "holds" || cell[7] == "MISSED") before[cell[2] "|" cell[3]] = line
    }
  }
  $8 == "not measured" && ($1 "|" $2 " " $3) in before { print before[$1 "|" $2 " " $3]; next }
  {
    printf "| %s | %s %s | %s | %s | %s | %s |", $1, $2, $3, $4, $5, $6, $8
    if ($8 != "not measured") printf " %d%s, %s, %s", $7, $7 < 10 ? " (few)" : "", $9, $10
    printf " |\n"
  }'
}

# draw_chart FILE: of what each target allows, how much was needed; one scale for all, since targets are of many kinds. Nothing is
# drawn where nothing was measured, or the target is 0.
draw_chart() {
  awk -F '\t' -v limit=2 '
    function text(x, y, size, anchor, what) {
      gsub(/&/, "\\&amp;", what); gsub(/</, "\\&lt;", what)
      printf "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, size, anchor, what
    }
    $8 != "not measured" && $2 > 0 { n++; name[n] = $1; share[n] = $4 / $2; label[n] = $4 " of " $2 " " $3; good[n] = $8 == "holds" }
    END {
      if (!n) exit 1
      left = 300; wide = 240; step = 26; height = 60 + n * step
      printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 %d\" font-family=\"sans-serif\">\n", height
      printf "<rect width=\"800\" height=\"%d\" fill=\"white\"/>\n", height
      text(left + wide / limit, 22, 12, "middle", "target")
      for (i = 1; i <= n; i++) {
        y = 34 + (i - 1) * step
        w = (share[i] > limit ? limit : share[i]) * wide / limit
        text(left - 10, y + 14, 12, "end", name[i])
        printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"18\" fill=\"%s\"/>\n", left, y, w, good[i] ? "#1f77b4" : "#d62728"
        text(left + wide + 10, y + 14, 12, "start", label[i] (good[i] ? "" : ", missed"))
      }
      printf "<line x1=\"%.1f\" y1=\"28\" x2=\"%.1f\" y2=\"%d\" stroke=\"black\" stroke-dasharray=\"4 3\"/>\n", \
        left + wide / limit, left + wide / limit, height - 22
      print "</svg>"
    }' >"$1.tmp" || { rm -f "$1.tmp" "$1" && return 1; }
  mv "$1.tmp" "$1"
}

# write_page: table and chart, if there is one.
write_page() {
  {
    if draw_chart "$chart" <<<"$judged"; then
      # shellcheck disable=SC2016
      printf '![What was needed of what each target allows](%s)\n\n' "$(realpath --relative-to="$(dirname "$page")" "$chart")"
    fi
    print_markdown <<<"$judged"
  } | replace_block "$page" 'scripts/bench table'
}

page=$GPUVM_REPO/docs/performance.md chart=$GPUVM_REPO/docs/images/performance.svg write=0
while (($#)); do
  case $1 in
    --write) write=1 ;;
    --page) page=$2 write=1 && shift ;;
    --chart) chart=$2 write=1 && shift ;;
    --*) die "unknown option $1; see scripts/bench --help" ;;
    *) break ;;
  esac
  shift
done
install_packages jq
results=("$@")
if ((${#results[@]} == 0)); then
  mapfile -t results < <(find "$GPUVM_REPO/docs/benchmarks" "$GPUVM_REPO/build/bench" -name '*.json' 2>/dev/null | sort)
fi
judged=$(judge "${results[@]}")
print_table <<<"$judged"
((!write)) || write_page
! grep -q MISSED <<<"$judged"
