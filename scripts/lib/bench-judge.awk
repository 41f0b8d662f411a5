# SPDX-License-Identifier: Apache-2.0
# scripts/bench table: judges results by targets. Reads results, lines "FILE BENCHMARK DATE COMMIT NAME METRIC MEDIAN RUNS VALUES" (tabs;
# RUNS and VALUES with commas), the oldest file first, and then the file of targets (bench-targets.tsv). Prints for each target, with
# tabs: measure, target, unit, reached, its ends, older, runs, verdict (holds, MISSED, not measured), date, commit. Of several results the
# newest counts that has what the target is about; what is told of the older peer may be from a still newer one.
BEGIN { FS = OFS = "\t" }

FILENAME ~ /\.tsv$/ && /^#/ { next }

FILENAME !~ /\.tsv$/ {
  if (!($1 in benchmark)) { files++; file[files] = $1; benchmark[$1] = $2; date[$1] = substr($3, 1, 10); commit[$1] = $4 }
  key = $1 SUBSEP $5 "." $6
  median[key] = $7; runs[key] = $8; values[key] = $9
  next
}

# middle(N): of the numbers list[1..N], which are sorted on the way.
function middle(n, i, j, t) {
  for (i = 2; i <= n; i++) {
    t = list[i]
    for (j = i - 1; j >= 1 && list[j] > t; j--) list[j + 1] = list[j]
    list[j + 1] = t
  }
  return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

# ratio(A, B): the median of the ratios of runs that both have; their number in `pairs`, their ends in `low` and `high`.
function ratio(a, b, n, m, i, number, value, theirs, k) {
  m = split(runs[b], number, ","); split(values[b], value, ",")
  for (i = 1; i <= m; i++) theirs[number[i]] = value[i]
  m = split(runs[a], number, ","); split(values[a], value, ",")
  n = 0
  for (i = 1; i <= m; i++) if (number[i] in theirs && theirs[number[i]] > 0) list[++n] = value[i] / theirs[number[i]]
  pairs = n
  if (!n) return ""
  k = middle(n)
  low = list[1]; high = list[n]
  return k
}

function short(x) { return x == int(x) ? sprintf("%d", x) : x < 10 ? sprintf("%.2f", x) : sprintf("%.1f", x) }

{
  measure = $1; ours = $3; theirs = $4; older = $5; target = $6; unit = $7
  reached = ""; ends = ""; beside = ""; pairs = 0; when = ""; what = ""
  for (f = files; f >= 1; f--) {
    a = file[f] SUBSEP ours; b = file[f] SUBSEP theirs; c = file[f] SUBSEP older
    if (benchmark[file[f]] != $2 || !(a in median)) continue
    if (beside == "" && older != "-" && (c in median)) beside = theirs == "-" ? short(median[c]) : ratio(a, c) != "" ? short(ratio(a, c)) : ""
    pairs = 0
    if (theirs == "-") {
      reached = median[a]; pairs = split(values[a], list, ",")
      middle(pairs); low = list[1]; high = list[pairs]
    } else if (!(b in median) || (reached = ratio(a, b)) == "") continue
    ends = pairs > 1 ? short(low) " to " short(high) : ""
    when = date[file[f]]; what = commit[file[f]]
    break
  }
  verdict = reached == "" ? "not measured" : reached + 0 <= target + 0 ? "holds" : "MISSED"
  print measure, target, unit, reached == "" ? "-" : short(reached), ends == "" ? "-" : ends, beside == "" ? "-" : beside, pairs, verdict, \
    when == "" ? "-" : when, what == "" ? "-" : what
}
