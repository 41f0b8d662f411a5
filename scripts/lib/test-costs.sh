# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a run of scripts/test costs: wall and CPU seconds of each stage, and how fast the machine is. All in milliseconds. Sourced.

cost_names=() cost_walls=() cost_cpus=()
cost_name='' cost_wall_began=0 cost_cpu_began=0
speed_when=() speed_walls=() speed_cpus=() speed_rooms=()

# milliseconds TIME: of bash's times, such as 1m2.345s or, in other languages, 1m2,345s; without minutes, too.
milliseconds() {
  local minutes=0 rest=${1#*m}
  [[ $1 != *m* ]] || minutes=${1%m*}
  echo $((10#$minutes * 60000 + 10#${rest//[!0-9]/}))
}

# as_seconds MILLISECONDS: with one digit after the point.
as_seconds() {
  printf '%d.%d' $((($1 + 50) / 1000)) $((($1 + 50) % 1000 / 100))
}

# Sets clock_wall and clock_cpu: now, and what this script and all its children that have ended have used. (times in a $(subshell)
# would be the subshell's.)
read_clocks() {
  local time sum=0
  mkdir -p "$GPUVM_LOG"
  times >"$GPUVM_LOG/times"
  for time in $(<"$GPUVM_LOG/times"); do
    sum=$((sum + $(milliseconds "$time")))
  done
  clock_cpu=$sum
  clock_wall=$((${EPOCHREALTIME//[!0-9]/} / 1000))
}

# begin_cost NAME: what comes now is counted as NAME's; none ends the last one.
begin_cost() {
  read_clocks
  if [[ -n $cost_name ]]; then
    cost_names+=("$cost_name")
    cost_walls+=($((clock_wall - cost_wall_began)))
    cost_cpus+=($((clock_cpu - cost_cpu_began)))
  fi
  cost_name=${1:-} cost_wall_began=$clock_wall cost_cpu_began=$clock_cpu
}

# The fixed piece of work: an interpreter at work in some MiB of memory, which is more like a compiler or an emulator than a checksum,
# for which some processors have instructions. Perl is on every Debian system.
speed_work() {
  LC_ALL=C perl -e 'my ($x, %h) = (1); for (1 .. 7_000_000) { $x = ($x * 69069 + 1) & 0xffffffff; $h{$x & 0xffff} += $x >> 16 }'
}

# measure_speed WHEN: takes about a second.
measure_speed() {
  local TIMEFORMAT='%3R %3U %3S' wall user system
  mkdir -p "$GPUVM_LOG"
  { time speed_work; } 2>"$GPUVM_LOG/speed"
  read -r wall user system <"$GPUVM_LOG/speed"
  speed_when+=("$1")
  speed_rooms+=("$(df -BG --output=avail "$GPUVM_LOG" | tail -n 1 | tr -dc 0-9)")
  speed_walls+=("$(milliseconds "$wall")")
  speed_cpus+=($(($(milliseconds "$user") + $(milliseconds "$system"))))
}

print_costs() {
  local i wall=0 cpu=0
  begin_cost
  printf '\n%-36s %9s %9s\n' 'Costs, in seconds' wall CPU
  for i in "${!cost_names[@]}"; do
    printf '  %-34s %9s %9s\n' "${cost_names[i]}" "$(as_seconds "${cost_walls[i]}")" "$(as_seconds "${cost_cpus[i]}")"
    wall=$((wall + cost_walls[i])) cpu=$((cpu + cost_cpus[i]))
  done
  printf '  %-34s %9s %9s\n' 'all' "$(as_seconds "$wall")" "$(as_seconds "$cpu")"
  ((${#speed_when[@]} > 0)) || return 0
  printf 'Speed: seconds for a fixed piece of work, where wall much above CPU is a busy machine, and GiB free on the disk\n'
  for i in "${!speed_when[@]}"; do
    printf '  %-34s %5d.%03d %5d.%03d %9d\n' "${speed_when[i]}" $((speed_walls[i] / 1000)) $((speed_walls[i] % 1000)) \
      $((speed_cpus[i] / 1000)) $((speed_cpus[i] % 1000)) "${speed_rooms[i]}"
  done
}
