# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the commit says about a run: its turn, and what has changed. Sourced by scripts/test.

# find_turn [TURN]: sets turn, and turn_because for people to read. Four commits in a row have four turns; what a merge brings along
# counts as one. Where nobody knows how many
# commits there are, it is turn 0.
find_turn() {
  local commits
  if [[ -n ${1:-} ]]; then
    turn=$1 turn_because='--turn'
  elif [[ $(git rev-parse --is-shallow-repository 2>/dev/null) == false ]] && commits=$(git rev-list --count --first-parent HEAD 2>/dev/null); then
    turn=$((commits % 4)) turn_because="$commits commits, merged ones not counted"
  else
    turn=0 turn_because='not a whole git clone, so nobody can count its commits; --turn N chooses'
  fi
}

# changed_files: those of the newest ten commits, and what is not committed yet. (A day's commits touch nearly every room, which would
# put nothing first.) Nothing where there is no git.
changed_files() {
  git rev-parse --verify --quiet HEAD >/dev/null 2>&1 || return 0
  {
    git log -n 10 --format= --name-only
    git diff --name-only HEAD
    git ls-files --others --exclude-standard
  } | sort -u
}

# print_plan TABLE: the order of this commit's lab tests.
print_plan() {
  local -a changed
  local class name its_turn seconds
  mapfile -t changed < <(changed_files)
  printf 'Turn %s (%s). Files changed in the last ten commits: %d.\n' "$turn" "$turn_because" "${#changed[@]}"
  printf '%-20s %-18s %5s %8s\n' class test turn seconds
  while IFS=$'\t' read -r class name its_turn seconds; do
    printf '%-20s %-18s %5s %8s\n' "${PLAN_CLASSES[class]}" "$name" "$its_turn" "$seconds"
  done < <(table_rows "$1" | plan_order "$turn" "${changed[@]}")
  table_rows "$1" | awk -F '\t' '{ sum[$2] += $3 }
    END { printf "Sums: core %d s; turns 0 to 3: %d, %d, %d, %d s\n", sum["core"], sum[0], sum[1], sum[2], sum[3] }'
}
