# SPDX-License-Identifier: Apache-2.0
# Logs of system calls of many runs, put together and judged: scripts/sandbox-calls says how. Lines are those of
# vmm/sandbox/roles/call_log.hpp.

BEGIN { FS = "\t" }

function complain(text) { print text; ++complaints }

$1 == "role" { roles[$2] += $3 }

# A table that several roles have is one list: a row counts as used if one of them has used it.
$1 == "row" {
  row = $5 "\t" $6
  uses[row] = $3
  used[row] += $4
  if (index(" " holders[row] " ", " " $2 " ") == 0)
    holders[row] = holders[row] (holders[row] == "" ? "" : " ") $2
}

$1 == "unlisted" {
  call = "role " $2 ": " $3 " (" $4 "), second argument " $5
  unlisted[call] += $6
}

END {
  for (call in unlisted)
    complain("no row for a call of " call ", made " unlisted[call] " times")
  for (row in used)
    if (used[row] == 0 && uses[row] == "always") {
      split(row, parts, "\t")
      complain("never used: the row of " parts[1] " (" parts[2] "), of the roles " holders[row])
    }
  for (role in roles) {
    ++role_count
    if (roles[role] == 0) complain("no thread had the role " role)
  }
  if (role_count == 0) complain("the logs name no role: are they logs of calls?")
  printf "%d logs, %d rows, %d complaints\n", ARGC - 1, length(used), complaints
  exit complaints > 0
}
