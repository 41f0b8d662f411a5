#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gpuvm convert on the command line: a file, standard input, a pipe and a new file; each configuration is valid; errors and their places.
# Usage: convert_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
guests=$2/tests/fixtures/convert
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

complain() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# refuses STATUS TEXT ARGUMENT…: one line on standard error with the text, and nothing on standard output.
refuses() {
  wanted=$1 text=$2
  shift 2
  "$gpuvm" convert "$@" >"$folder/out" 2>"$folder/errors" </dev/null
  status=$?
  [ "$status" = "$wanted" ] || complain "$*: status $status instead of $wanted"
  [ "$(wc -l <"$folder/errors")" = 1 ] || complain "$*: not one line: $(cat "$folder/errors")"
  grep -qF -e "$text" "$folder/errors" || complain "$*: no \"$text\" in: $(cat "$folder/errors")"
  [ ! -s "$folder/out" ] || complain "$*: writes to standard output"
}

count=0
for guest in "$guests"/*; do
  name=$(basename "${guest%.*}")
  "$gpuvm" convert "$guest" >"$folder/$name.toml" 2>"$folder/errors" || complain "$name: $(cat "$folder/errors")"
  "$gpuvm" validate "$folder/$name.toml" >"$folder/valid" 2>&1 || complain "$name: $(cat "$folder/valid")"
  "$gpuvm" convert - <"$guest" 2>/dev/null | cmp - "$folder/$name.toml" || complain "$name: standard input makes another file"
  # shellcheck disable=SC2002  # a pipe is what is tried
  cat "$guest" | "$gpuvm" convert /dev/stdin 2>/dev/null | cmp - "$folder/$name.toml" || complain "$name: a pipe makes another file"
  count=$((count + 1))
done
[ "$count" -ge 8 ] || complain "$count guests only"

"$gpuvm" convert --from libvirt -o "$folder/new.toml" "$guests/render.xml" >"$folder/out" 2>"$folder/errors" \
  || complain "-o: $(cat "$folder/errors")"
cmp "$folder/new.toml" "$folder/render.toml" || complain "-o writes something else"
[ ! -s "$folder/out" ] || complain "-o writes to standard output"
"$gpuvm" convert "$guests/many-things.xml" 2>&1 >/dev/null | grep -qE '^[0-9]+ things are without a counterpart' || complain "no count"

refuses 64 'FILE is required'
refuses 64 '--from' --from xen "$guests/render.xml"
refuses 78 "$folder/new.toml" -o "$folder/new.toml" "$guests/render.xml"
refuses 78 'nothing is overwritten: remove it, or give another name' -o "$folder/new.toml" "$guests/render.xml"
refuses 64 '-o takes a new file' -o - "$guests/render.xml"
refuses 78 "Cannot open $folder/absent.xml" "$folder/absent.xml"
refuses 78 "Cannot read $folder" "$folder"
refuses 78 'is a configuration of gpuvm already' "$folder/render.toml"
refuses 78 'standard input:1:1: the text is empty' -
printf '<domain>\n  <name>x</nam>\n</domain>\n' >"$folder/broken.xml"
refuses 78 "$folder/broken.xml:2:" "$folder/broken.xml"
printf 'qemu-system-x86_64 \\\n -name "x\n' >"$folder/broken.sh"
refuses 78 "$folder/broken.sh:2:8: this quote" "$folder/broken.sh"
refuses 78 'there is no command of QEMU here' --from qemu "$guests/render.xml"

[ "$failures" -eq 0 ]
