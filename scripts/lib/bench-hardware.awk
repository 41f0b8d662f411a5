# SPDX-License-Identifier: Apache-2.0
# scripts/bench hardware: from bench-hardware.tsv (and NAME=VALUE before it, in the variable `changes`) the time from exec to the first
# instruction on a GPU, as Markdown. Two columns for each host: gpuvm as it is, and with what docs/performance.md says is left (rows 6, 8
# and 10 there).
BEGIN {
  FS = "\t"
  n = split(changes, change, " ")
  for (i = 1; i <= n; i++) { split(change[i], pair, "="); other[pair[1]] = pair[2] }
}
/^#/ { next }
{
  names[++count] = $1; unit[$1] = $3; report[$1] = $4; what[$1] = $5
  v[$1] = $1 in other ? other[$1] : $2
  used[$1] = 1
}

# compute(GPUS, GIB, LEFT): seconds of each step into step[1..7], those that are on the way alone; their sum. Without LEFT as gpuvm does
# it today.
function compute(gpus, gib, left, workers, rate, prefault, pin, reset, rest) {
  workers = gib * 8 < v["threads"] ? gib * 8 : v["threads"]  # one for each 128 MiB, at most
  rate = v["page_thread"] / workers
  if (rate < v["page_floor"]) rate = v["page_floor"]
  prefault = gib * rate
  pin = gib * v["pin"]
  rest = left && v["firmware_up"] < v["settle"] ? v["firmware_up"] : v["settle"]
  reset = v["reset_wait"] + rest + v["check"]
  step[1] = v["own_start"] + (left ? 0 : v["files"])  # left: files are read while devices are reset
  step[2] = gpus ? v["open_wait"] : 0                 # all at once
  step[3] = reset
  # Pages come beside the reset; the map waits for its end, and follows the pages piece by piece.
  step[4] = prefault - reset > pin ? prefault - reset : pin
  step[5] = gpus * v["bar_map"]
  step[6] = v["guest_boot"] + v["exits"] * v["exit_cost"] - (left ? v["unpack"] : 0)
  step[7] = gpus * v["driver"] + v["cuinit"]
  return step[1] + step[2] + step[3] + step[4] + step[5] + step[6] + step[7]
}

# column(GPUS, GIB, LEFT): into table[row, column].
function column(gpus, gib, left, i) {
  columns++
  total[columns] = compute(gpus, gib, left)
  for (i = 1; i <= 7; i++) table[i, columns] = step[i]
  monitor[columns] = total[columns] - step[6] - step[7]
}

function row(title, values, i, line) {
  line = "| " title " |"
  split(values, value, " ")
  for (i = 1; i <= columns; i++) line = line " " value[i] " |"
  print line
}

function numbers(r, i, line) {
  for (i = 1; i <= columns; i++) line = line sprintf("%.2f ", table[r, i])
  return line
}

END {
  for (name in other) if (!(name in used) && name != "gpus" && name != "gib") { print "hardware: no figure is called " name > "/dev/stderr"; exit 1 }
  column(1, 128, 0); column(1, 128, 1); column(7, 110, 0); column(7, 110, 1); column(8, 1024, 0); column(8, 1024, 1)
  if ("gpus" in other || "gib" in other) {
    gpus = "gpus" in other ? other["gpus"] : 1; gib = "gib" in other ? other["gib"] : 128
    columns = 0
    column(gpus, gib, 0); column(gpus, gib, 1)
    printf "| seconds, %d H100, %d GiB | as it is | with what is left |\n|---|---|---|\n", gpus, gib
  } else {
    print "| seconds | 1 H100, 128 GiB | the same, with what is left | 7 H100, 110 GiB | with what is left | 8 H100, 1 TiB | with what is left |"
    print "|---|---|---|---|---|---|---|"
  }
  row("gpuvm itself, files", numbers(1))
  row("devices opened", numbers(2))
  row("reset, rest, check", numbers(3))
  row("memory given and pinned", numbers(4))
  row("BARs mapped for DMA", numbers(5))
  row("the guest's boot", numbers(6))
  row("driver and cuInit", numbers(7))
  line = sums = shares = ""
  for (i = 1; i <= columns; i++) { sums = sums sprintf("**%.1f** ", total[i]); shares = shares sprintf("%.1f ", monitor[i]) }
  row("**exec to the first GPU instruction**", sums)
  row("of these, gpuvm's part (the first five)", shares)
  print ""
  print "| figure | value | replaced by a report | what it is, and where it is from |"
  print "|---|---|---|---|"
  for (i = 1; i <= count; i++) {
    name = names[i]
    printf "| `%s` | %s%s | %s | %s |\n", name, v[name], unit[name] == "" ? "" : " " unit[name], report[name], what[name]
  }
}
