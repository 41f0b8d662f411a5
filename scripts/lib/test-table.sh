# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The table of lab tests, tests/lab/plan.tsv: whether it is whole, and its seconds anew from a run. Sourced.

# The names of all lab tests.
lab_tests() {
  find tests/lab -maxdepth 1 -name '*_test.sh' -printf '%f\n' | sed 's/_test\.sh$//' | sort
}

# table_rows TABLE: its rows, and one for each test that has none, which is then of the core: nobody knows yet what it finds.
table_rows() {
  { lab_tests; echo; cat "$1"; } | awk -F '\t' -v OFS='\t' '
    !in_table { if ($0 == "") in_table = 1; else test[$1] = 1; next }
    !/^#/ && ($1 in test) { print; delete test[$1] }
    END { for (name in test) print name, "core", 60, "", "has no row" }'
}

# table_speed TABLE: milliseconds that the fixed piece of work took on the machine of the table's seconds.
table_speed() {
  sed -n 's/^# speed: \([1-9][0-9]*\) ms$/\1/p' "$1"
}

# check_table TABLE: says what is wrong with it.
check_table() {
  local complaints
  complaints=$(complain_of_rows "$1"; complain_of_rooms "$1"; complain_of_tests "$1"; complain_of_turns "$1"; complain_of_balance "$1")
  printf '%s\n' "$complaints"
  [[ -z $complaints ]]
}

complain_of_rows() {
  [[ -n $(table_speed "$1") ]] || echo "$1: the head has no line '# speed: N ms'"
  awk -F '\t' '
    /^#/ { next }
    NF != 5 || $5 == "" { print FILENAME ":" FNR ": not name, turn, seconds, rooms, reason with a tab between each" }
    $2 !~ /^(core|[0-3])$/ { print FILENAME ":" FNR ": the turn is core or 0 to 3, not \"" $2 "\"" }
    $3 !~ /^[1-9][0-9]*$/ { print FILENAME ":" FNR ": seconds are a number from 1 on, not \"" $3 "\"" }
    seen[$1]++ { print FILENAME ":" FNR ": a second row of " $1 }' "$1"
}

complain_of_rooms() {
  local room
  grep -v '^#' "$1" | cut -f 4 | tr ' ' '\n' | sort -u | while read -r room; do
    [[ -e $room ]] || { [[ $room == *'*' ]] && compgen -G "$room" >/dev/null; } || echo "$1: there is no room '$room'"
  done
}

complain_of_tests() {
  comm -23 <(lab_tests) <(table_names "$1") | sed "s|.*|$1: tests/lab/&_test.sh has no row|"
  comm -13 <(lab_tests) <(table_names "$1") | sed "s|.*|$1: & has a row, but there is no tests/lab/&_test.sh|"
}

table_names() {
  grep -v '^#' "$1" | cut -f 1 | sort -u
}

# By the planner itself: the core and the turns 0 to 3 are to be all tests.
complain_of_turns() {
  local turn
  for turn in 0 1 2 3; do
    plan_order "$turn" <"$1" | awk -F '\t' '$1 <= 2 { print $2 }'
  done | sort -u | comm -13 - <(table_names "$1") | sed "s|^|$1: no turn runs |"
}

# The turns take alike long: by the table's seconds none more than a third longer than another.
complain_of_balance() {
  awk -F '\t' -v OFS='\t' '
    !/^#/ && $2 ~ /^[0-3]$/ { sum[$2] += $3 }
    END {
      for (turn = 0; turn < 4; turn++) {
        if (turn == 0 || sum[turn] < least) least = sum[turn]
        if (sum[turn] > most) most = sum[turn]
      }
      if (most * 3 > least * 4)
        print FILENAME ": the turns 0 to 3 take " sum[0] + 0 ", " sum[1] + 0 ", " sum[2] + 0 ", " sum[3] + 0 " s; move a test to a short one"
    }' "$1"
}

# write_times TABLE TIMES: puts what a whole run measured into the table. TIMES, which scripts/test writes, has a line "NAME SECONDS"
# for each test that passed, "speed MILLISECONDS", and at the end "end".
write_times() {
  local table=$1 times=$2 rows
  [[ -r $times && $(tail -n 1 "$times") == end ]] || die "no finished run of all lab tests has left its times in $times"
  rows=$(awk -F '\t' -v OFS='\t' '
    NR == FNR { if ($1 == "speed") speed = $2; else if (NF == 2) took[$1] = $2 < 1 ? 1 : $2; next }
    /^# speed: / { print "# speed: " speed " ms"; next }
    !/^#/ && ($1 in took) { $3 = took[$1] }
    { print }' "$times" "$table")
  printf '%s\n' "$rows" >"$table.new"
  mv "$table.new" "$table"
  grep -v '^#' "$table" | cut -f 1 | grep -vxFf <(cut -f 1 "$times") | sed 's/.*/not in this run, keeps its seconds: &/' || true
}
