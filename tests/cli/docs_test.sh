#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The documentation against the program: each command of gpuvm in README.md and docs/ has a verb that there is, with options that this verb
# has, and each line of `gpuvm check` that docs/troubleshooting.md names is one. Usage: docs_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source_dir=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}

# Commands are what stands between backquotes, and indented lines, that begin with gpuvm: "FILE: VERB OPTION…" without values.
perl -ne '
  my @found = /`(gpuvm [^`]+)`/g;
  push @found, $1 if /^    (?:build\/release\/)?(gpuvm .*)/;
  for (@found) {
    s/ #.*//; s/ -- .*//; s/[|>&].*//; s/\$\(.*//;
    my ($verb, $rest) = /^gpuvm ([a-z][a-z-]*)(.*)/ or next;
    print "$ARGV: $verb", (map { " $_" } $rest =~ /(?:^| )(--[a-z][a-z-]*)/g), "\n";
  }' "$source_dir"/README.md "$source_dir"/docs/*.md "$source_dir"/examples/*/README.md | sort -u >"$folder/commands"
# And in the examples' scripts: "$GPUVM" VERB OPTION…
# shellcheck disable=SC2016
perl -ne '
  while (/"\$GPUVM" ([a-z][a-z-]*)([^)|>]*)/g) {
    my ($verb, $rest) = ($1, $2);
    print "$ARGV: $verb", (map { " $_" } $rest =~ /(?:^| )(--[a-z][a-z-]*)/g), "\n";
  }' "$source_dir"/examples/*/gpuvm-* >"$folder/scripts"
[ -s "$folder/scripts" ] || fail 'no script of the examples starts gpuvm'
cat "$folder/scripts" >>"$folder/commands"
[ "$(wc -l <"$folder/commands")" -gt 50 ] || fail 'there are hardly any commands in the documentation'

while read -r file verb options; do
  # Without a level below: verbs of verbs have their options there.
  if [ ! -f "$folder/help-$verb" ]; then
    "$gpuvm" "$verb" --help >"$folder/help-$verb" 2>&1 || : >"$folder/help-$verb"
    # shellcheck disable=SC2013  # names without spaces
    for below in $(sed -n '/^Subcommands:/,/^$/p' "$folder/help-$verb" | sed -nE 's/^  ([a-z-]+) .*/\1/p'); do
      "$gpuvm" "$verb" "$below" --help >>"$folder/help-$verb" 2>&1
    done
  fi
  [ -s "$folder/help-$verb" ] || { fail "$file gpuvm has no verb $verb"; continue; }
  for option in $options; do
    grep -qE -e "(^|[ ,])$option([ ,]|\$)" "$folder/help-$verb" || fail "$file gpuvm $verb has no option $option"
  done
done <"$folder/commands"

cat "$source_dir"/vmm/check/*.cpp "$source_dir"/vmm/machine/preview/*.cpp >"$folder/sources"
perl -ne 'print "$1\n" while /lines? ((?:`[a-z_]+`(?:,| and)? ?)+)/g' "$source_dir/docs/troubleshooting.md" | grep -oE '[a-z_]{3,}' | grep -vx and \
  | sort -u >"$folder/lines"
[ "$(wc -l <"$folder/lines")" -gt 8 ] || fail 'docs/troubleshooting.md names hardly any line of gpuvm check'
while read -r line; do
  grep -qF "\"$line\"" "$folder/sources" || fail "gpuvm check has no line $line, which docs/troubleshooting.md names"
done <"$folder/lines"

[ "$failures" -eq 0 ]
