# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What scripts/bench measured as JSON for programs: all runs, medians, and where, when and of what. Sourced, after build.sh and
# bench-statistics.sh; the caller sets OUT, benchmark, devices, memory, runs and targets ("NAME":NUMBER, a comma between).

# json_text TEXT: as a JSON string.
json_text() {
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# The commit that was measured; with "+" where files differ from it.
commit_text() {
  local commit
  commit=$(git -C "$GPUVM_REPO" rev-parse --short=8 HEAD 2>/dev/null) || { echo unknown && return; }
  git -C "$GPUVM_REPO" diff --quiet HEAD -- 2>/dev/null || commit+=+
  echo "$commit"
}

# How guests of the lab host run here: "kvm", nested, or "tcg", emulated (lab_choose_accel of scripts/lib/lab-run.sh decides).
lab_accel() {
  (
    # shellcheck disable=SC2034 # lab_choose_accel reads it
    LAB_CALLER_ENV_LAB_ACCEL=${LAB_ACCEL:-}
    # shellcheck source=/dev/null
    . "$GPUVM_REPO/scripts/lib/lab-run.sh"
    lab_choose_accel
    echo "$LAB_ACCEL"
  )
}

# machine_json: the machine, without its name.
machine_json() {
  local cpu memory
  cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
  memory=$(awk '/^MemTotal:/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
  printf '{"cpu":%s,"cpus":%d,"memory_gib":%d,"kernel":%s,"lab":%s}' \
    "$(json_text "$cpu")" "$(nproc)" "$memory" "$(json_text "$(uname -r)")" "$(json_text "$(lab_accel)")"
}

# programs_json: what $OUT/versions says, lines NAME=VERSION.
programs_json() {
  local name version comma=''
  printf '{'
  while IFS='=' read -r name version; do
    printf '%s%s:%s' "$comma" "$(json_text "$name")" "$(json_text "$version")"
    comma=','
  done < <(cat "$OUT/versions" 2>/dev/null)
  printf '}'
}

# result_json NAME: {"METRIC":{"median":…,"spread":…,"runs":[…],"values":[…]},…} of all metrics that its runs have.
result_json() {
  local metric comma='' numbers list run
  printf '{'
  while read -r metric; do
    numbers=$(run_numbers "$1" "$metric")
    list=$(while read -r run; do sed -n "s/^$metric=//p" "$OUT/$1.$run"; done <<<"$numbers" | paste -sd,)
    printf '%s"%s":{"median":%s,"spread":%s,"runs":[%s],"values":[%s]}' "$comma" "$metric" \
      "$(median "$1" "$metric")" "$(spread "$1" "$metric")" "$(paste -sd, <<<"$numbers")" "$list"
    comma=','
  done < <(sed -nE 's/^([a-z][A-Za-z0-9_]*)=-?[0-9][0-9.eE+-]*$/\1/p' "$OUT/$1".[0-9]* | sort -u)
  printf '}'
}

# write_json FILE
write_json() {
  local name
  {
    printf '{"benchmark":"%s","date":"%s","commit":"%s",\n"machine":%s,\n"programs":%s,\n' \
      "$benchmark" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(commit_text)" "$(machine_json)" "$(programs_json)"
    printf '"devices":"%s","memory":"%s","runs":%d,"targets":{%s}' "$devices" "$memory" "$runs" "$targets"
    while read -r name; do
      printf ',\n"%s":%s' "$name" "$(result_json "$name")"
    done < <(results_in "$OUT")
    printf '}\n'
  } >"$1.tmp"
  mv "$1.tmp" "$1"
}
