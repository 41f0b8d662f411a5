# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# In which order the lab's tests run, and which of them still fit into the time. Pure: what these functions print depends on their
# arguments and standard input alone. The table they plan with is tests/lab/plan.tsv, whose head says what its columns are.
# Sourced.

PLAN_CLASSES=(core 'this turn, changed' 'this turn' changed 'next turn' 'turn after that' 'last turn')

# plan_order TURN [CHANGED_FILE]… <table: prints a line "CLASS NAME TURN SECONDS" (tabs between) for each test, in the order in
# which they run; CLASS is an index of PLAN_CLASSES. The core first; then this turn's tests, and among them those whose rooms have
# changed; then other turns' tests whose rooms have changed; then the rest, the next turn first. Within a class the longest first:
# two run at a time, and a long one that starts last would run alone at the end.
plan_order() {
  local turn=$1
  shift
  { printf '%s\n' "$@"; echo; cat; } | awk -F '\t' -v OFS='\t' -v turn="$turn" '
    # The changed files end with an empty line.
    !in_table { if ($0 == "") in_table = 1; else files[$0] = 1; next }
    /^#/ || /^$/ { next }
    { print class($1, $2, $4), $1, $2, $3 }
    function class(name, its_turn, rooms) {
      if (its_turn == "core") return 0
      if (its_turn == turn) return has_changed(name, rooms) ? 1 : 2
      return has_changed(name, rooms) ? 3 : 3 + (its_turn - turn + 4) % 4
    }
    function has_changed(name, rooms,   list, count, i, file) {
      count = split(rooms " tests/lab/" name "_test.sh tests/lab/inside/" name ".sh", list, " ")
      for (i = 1; i <= count; i++)
        for (file in files)
          if (is_in(file, list[i])) return 1
      return 0
    }
    function is_in(file, room) {
      if (sub(/\*$/, "", room)) return index(file, room) == 1
      return file == room || index(file, room "/") == 1
    }' | sort -t $'\t' -k1,1n -k4,4nr -k2,2
}

# plan_longest_first <table: the same lines, all of one class: for runs without a limit.
plan_longest_first() {
  awk -F '\t' -v OFS='\t' '!/^#/ && NF { print 0, $1, $2, $3 }' | sort -t $'\t' -k4,4nr -k2,2
}

# plan_slowness GUESS [SECONDS EXPECTED]…: how long tests take here, in per cent of what the table says; from the tests that have
# ended, or GUESS before there are any. All of them count, and the last four by themselves: what is larger is true of a machine that
# has just become slower.
plan_slowness() {
  local guess=$1 all last
  shift
  (($# > 0)) || { echo "$guess" && return 0; }
  all=$(plan_ratio "$@")
  (($# <= 8)) || shift $(($# - 8))
  last=$(plan_ratio "$@")
  last=$((last > all ? last : all))
  echo $((last > 50 ? last : 50))
}

# plan_ratio [SECONDS EXPECTED]…: the sum of the ones in per cent of the sum of the others.
plan_ratio() {
  local took=0 expected=0
  while (($# >= 2)); do
    took=$((took + $1)) expected=$((expected + $2))
    shift 2
  done
  echo $((expected > 0 ? (took * 100 + expected - 1) / expected : 100))
}

# plan_here SECONDS SLOWNESS: the table's seconds as they are expected here.
plan_here() {
  echo $((($1 * $2 + 99) / 100))
}

# plan_fits NOW SECONDS SLOWNESS LIMIT: whether a test that the table says takes SECONDS ends before LIMIT if it starts NOW. The
# margin, 20 s and a tenth, is for what varies from run to run and for the end of the script.
plan_fits() {
  local here=$((($2 * $3 + 99) / 100)) # plan_here, without a process for each test that waits
  (($1 + here + here / 10 + 20 <= $4))
}
