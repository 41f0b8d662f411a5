#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual pages against the program: every verb, option and exit status of --help occurs in gpuvm(1), every key of
# configs/reference.toml (which a unit test keeps complete) in gpuvm.toml(5), and neither page invents one.
# Usage: manual_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
page_1=$source_dir/man/gpuvm.1.scd
page_5=$source_dir/man/gpuvm.toml.5.scd
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

# compare WHAT PROGRAM_LIST PAGE_LIST: both hold one name a line; they must be the same and not empty.
compare() {
  sort -u "$2" >"$folder/program"
  sort -u "$3" >"$folder/page"
  [ -s "$folder/program" ] || { echo "FAILED: no $1 found in the program"; failures=$((failures + 1)); }
  if ! diff "$folder/program" "$folder/page"; then
    echo "FAILED: $1 differ: < is in the program only, > in the manual page only"
    failures=$((failures + 1))
  fi
}

# Options.
for verb in '' run test pool validate convert inspect check devices unbind reset test-reset report dump 'dump fdt' rom 'rom show' 'rom dump' 'rom trim' ssh ps status \
  console stop pause resume reboot power-button attach detach events metrics gitlab-executor \
  schema completion 'gitlab-executor config' 'gitlab-executor prepare' 'gitlab-executor run' 'gitlab-executor cleanup'; do
  # shellcheck disable=SC2086  # the empty verb is no argument, those with kinds are two
  "$gpuvm" $verb --help || exit 1
done >"$folder/help"
grep -E '^ +-' "$folder/help" | grep -oE '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,' >"$folder/options"
sed -n '/^# OPTIONS/,/^# EXIT/p' "$page_1" | grep -E '^\*-' | grep -oE '\*--?[a-z][a-z-]*\*' | tr -d '*' \
  >"$folder/page_options"
compare options "$folder/options" "$folder/page_options"
while read -r option; do
  sed -n '/^# SYNOPSIS/,/^# DESCRIPTION/p' "$page_1" | grep -qF -e "*$option*" || case $option in
    -h | --verbose | --quiet) ;; # shown there in their other form
    *) echo "FAILED: $option is not in the synopsis"; failures=$((failures + 1)) ;;
  esac
done <"$folder/options"

# Options, verb by verb: what a verb takes stands in its own lines of the synopsis.
check_synopsis() {
  sed -n '/^# SYNOPSIS/,/^# DESCRIPTION/p' "$page_1" | awk -v RS= -v verb="$1" -v kind="${2-}" '
    { split($0, words, " ") }
    words[1] == "*gpuvm*" && index("|" words[2] "|", "|*" verb "*|") && (kind == "" || words[3] == "*" kind "*")' \
    >"$folder/synopsis"
  # shellcheck disable=SC2086  # a kind that is empty is no argument
  "$gpuvm" "$1" ${2-} --help | grep -E '^ +-' | grep -oE '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,' | sort -u >"$folder/own"
  while read -r option; do
    grep -qF -e "*$option*" "$folder/synopsis" || case $option in
      -h | --help | --verbose | --quiet) ;;
      *) echo "FAILED: $option of $* is not in its synopsis"; failures=$((failures + 1)) ;;
    esac
  done <"$folder/own"
}
for verb in run test pool validate convert inspect check devices unbind reset test-reset report 'dump fdt' 'rom show' 'rom dump' 'rom trim' ssh ps \
  status console stop pause resume reboot power-button attach detach events metrics schema completion 'gitlab-executor config' \
  'gitlab-executor prepare' 'gitlab-executor run' 'gitlab-executor cleanup'; do
  # shellcheck disable=SC2086  # those with kinds are two arguments
  check_synopsis $verb
done

# Verbs.
"$gpuvm" --help | sed -n '/^Subcommands:/,/^$/p' | sed -nE 's/^  ([a-z-]+) .*/\1/p' >"$folder/verbs"
sed -n '/^# VERBS/,/^# OPTIONS/p' "$page_1" | sed -nE 's/^\*([a-z-]+)\*( .*)?$/\1/p' >"$folder/page_verbs"
compare verbs "$folder/verbs" "$folder/page_verbs"

# Exit statuses.
"$gpuvm" --help | sed -n '/^Exit status:/,/^$/p' | sed -nE 's/^ *([0-9]+(\+n)?)  .*/\1/p' >"$folder/statuses"
sed -n '/^# EXIT STATUS/,/^# EXAMPLES/p' "$page_1" | sed -nE 's/^\*([0-9]+(\+n)?)\*$/\1/p' >"$folder/page_statuses"
compare 'exit statuses' "$folder/statuses" "$folder/page_statuses"

# Requests.
awk -F'"' '/^    "\/v1/ { path = $2 } /^      "(get|put)": / { print toupper($2), path }' "$source_dir/docs/openapi.json" \
  >"$folder/requests"
sed -n '/^# REQUESTS/,/^# ANSWERS/p' "$source_dir/man/gpuvm-api.7.scd" | grep -oE '\*(GET|PUT) /v1/[a-z/-]+\*' | tr -d '*' \
  >"$folder/page_requests"
compare requests "$folder/requests" "$folder/page_requests"

# Keys.
awk '{ sub(/^# /, "") }
     /^\[+[a-z_]+\]+$/ { gsub(/[][]/, ""); section = $0 "."; next }
     /^[a-z_]+ = / { print section $1 }' "$source_dir/configs/reference.toml" >"$folder/keys"
sed -nE 's/^\*([a-z_.]+)\* = .*/\1/p' "$page_5" >"$folder/page_keys"
compare keys "$folder/keys" "$folder/page_keys"

# scdoc accepts them.
if command -v scdoc >/dev/null; then
  for page in "$page_1" "$page_5"; do
    scdoc <"$page" >"$folder/roff" || { echo "FAILED: scdoc refuses $page"; failures=$((failures + 1)); }
  done
fi

[ "$failures" -eq 0 ]
