#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the built or installed program has against faults that are still in it: a place in memory that nobody knows (PIE), tables that
# cannot be written once it runs (full RELRO), no executable stack, a guard behind buffers on the stack, checked calls of the C library
# and of containers, variables that begin as zero. CET is told, not demanded: the start files of the distribution decide.
# Usage: hardening_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
failures=0
command -v readelf >/dev/null || { echo "skipped: readelf is needed (package binutils)"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

complain() {
  printf 'FAILED: %s\n' "$1"
  failures=$((failures + 1))
}

readelf -hW "$gpuvm" >"$folder/header" && readelf -lW "$gpuvm" >"$folder/segments" && readelf -dW "$gpuvm" >"$folder/dynamic" \
  && readelf --dyn-syms -W "$gpuvm" >"$folder/symbols" || { complain "readelf does not read $gpuvm"; exit 1; }

# A sanitizer's program is no one's to install.
if grep -qE '__(asan|tsan)_init' "$folder/symbols"; then
  echo "skipped: built with a sanitizer"
  exit 77
fi

# has FILE PATTERN WHAT; has_not FILE PATTERN WHAT
has() { grep -qE "$2" "$folder/$1" || complain "$3"; }
has_not() { grep -qE "$2" "$folder/$1" && complain "$3"; }

has header 'Type: *DYN' "it is no position-independent executable"
has dynamic 'FLAGS_1.*PIE' "it is not marked as PIE"
has segments 'GNU_RELRO' "no RELRO"
has dynamic '(BIND_NOW|FLAGS_1.*NOW)' "RELRO is partial: symbols are bound while it runs"
has segments 'GNU_STACK .* RW +0x' "the stack's rights are not told, or it is executable"
has_not segments 'LOAD .* RWE ' "a segment can be written and executed"
has_not dynamic 'TEXTREL' "its code is changed when it is loaded"
has_not dynamic '(RPATH|RUNPATH)' "it looks for libraries in a folder of its own"
has symbols '__stack_chk_fail' "no stack protector"

# In a build folder it is known how it was made: checked calls are for optimized code only.
cache=$(dirname "$gpuvm")/CMakeCache.txt
type=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$cache" 2>/dev/null)
case $type in
  '' | Rel*) has symbols '__(memcpy|snprintf|recv|read|memset|fprintf|vsnprintf)_chk' "no checked calls of the C library (_FORTIFY_SOURCE)" ;;
esac
commands=$(dirname "$gpuvm")/compile_commands.json
if [ -f "$commands" ]; then
  grep '"command"' "$commands" >"$folder/commands"
  for option in -ftrivial-auto-var-init=zero -fstack-protector-strong -fPIE -D_GLIBCXX_ASSERTIONS; do
    without=$(grep -cv -e "$option" "$folder/commands")
    [ "$without" = 0 ] || complain "$without files are compiled without $option"
  done
fi

if readelf -nW "$gpuvm" 2>/dev/null | grep -q 'IBT\|SHSTK'; then
  echo "CET: the program is marked for it ($(readelf -nW "$gpuvm" | sed -n 's/.*x86 feature: //p' | head -n 1))"
else
  echo "CET: the instructions are there and the mark is not: the start files of this distribution have none"
fi

[ "$failures" = 0 ] && echo "hardening: all there"
exit "$failures"
