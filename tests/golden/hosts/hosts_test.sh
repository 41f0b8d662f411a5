#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What gpuvm devices and gpuvm check print of each saved host HOSTS/NAME.json, against EXPECTED/NAME.{tree,devices,gpus.json,check}.
#   hosts_test.sh GPUVM HOSTS EXPECTED
# After an intended change: GPUVM_UPDATE_GOLDEN=1 rewrites EXPECTED; read the difference.
set -u
gpuvm=$1 hosts=$2 expected=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

complain() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# shows NAME KIND VERB OPTION…: what the verb prints of the host, with its exit status, is EXPECTED/NAME.KIND.
shows() {
  name=$1 kind=$2
  shift 2
  "$gpuvm" "$@" --snapshot "$hosts/$name.json" >"$work/out" 2>"$work/errors"
  echo "exit status $?" >>"$work/out"
  [ ! -s "$work/errors" ] || { complain "$name: $* writes to standard error:"; cat "$work/errors"; }
  [ -z "${GPUVM_UPDATE_GOLDEN:-}" ] || cp "$work/out" "$expected/$name.$kind" || exit 1
  diff -u "$expected/$name.$kind" "$work/out" || complain "$name: $* prints something else"
}

count=0
for file in "$hosts"/*.json; do
  name=$(basename "$file" .json)
  shows "$name" tree devices --tree
  shows "$name" devices devices
  shows "$name" gpus.json devices --gpu --json
  shows "$name" check check
  # The same host once more, saved of its copy.
  rm -f "$work/again.json"
  "$gpuvm" devices --snapshot "$file" --save "$work/again.json" >"$work/out" 2>&1 || complain "$name: --save: $(cat "$work/out")"
  "$gpuvm" devices --snapshot "$work/again.json" >"$work/again" 2>&1
  "$gpuvm" devices --snapshot "$file" 2>&1 | grep -v '^# ' >"$work/first"
  grep -v '^# ' "$work/again" | diff "$work/first" - || complain "$name: looks different once saved again"
  count=$((count + 1))
done
[ "$count" -ge 6 ] || complain "$count hosts only"

# refuses STATUS TEXT ARGUMENT…
refuses() {
  status=$1 text=$2
  shift 2
  "$gpuvm" "$@" >"$work/out" 2>"$work/errors"
  got=$?
  [ "$got" = "$status" ] || complain "$*: status $got instead of $status"
  [ "$(wc -l <"$work/errors")" = 1 ] || complain "$*: not one line"
  grep -qF -e "$text" "$work/errors" || complain "$*: $(cat "$work/errors")"
  [ ! -s "$work/out" ] || complain "$*: prints all the same"
}
one=$hosts/laptop-muxless.json
echo '{"gpuvm_host":1,"root":{"sys":{"..":{}}}}' >"$work/hostile.json"
refuses 78 'no name of a file' devices --snapshot "$work/hostile.json"
refuses 78 'no name of a file' check --snapshot "$work/hostile.json"
head -c 5000 "$one" >"$work/short.json"
refuses 78 'cut short' devices --snapshot "$work/short.json"
refuses 78 'not a regular file' devices --snapshot "$work"
mkdir "$work/empty"
refuses 78 'no copy of a sysfs' devices --sysfs "$work/empty"
refuses 78 'Cannot create the new file' devices --snapshot "$one" --save "$work/short.json"
echo '{"gpuvm_host":1,"root":[]}' >"$work/list.json"
refuses 78 'list.json: root must be a folder' devices --snapshot "$work/list.json"
sed 's/"class":"0x030200"/"class":"GPU"/' "$one" >"$work/class.json"
cmp -s "$one" "$work/class.json" && complain 'no class was changed'
refuses 78 'class.json: The saved host has no number' devices --snapshot "$work/class.json"
refuses 64 'excludes' devices --snapshot "$one" --gpu --save "$work/gpus.json"
refuses 64 'excludes' devices --snapshot "$one" --sysfs "$work"
refuses 64 'excludes' devices --tree --json
refuses 64 '--set' check --set machine.cpus=2

[ "$failures" = 0 ]
