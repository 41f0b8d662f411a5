#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The check of scripts/test that keys of inspect trees are snake_case: lines that are made up.
. "$(dirname "$0")/checks.sh"
. "$REPO/scripts/lib/test-checks.sh"
cd "$WORK"

# keys LINE…: what the check says of a file with these lines.
keys() {
  printf '%s\n' "$@" >file.cpp
  printf 'file.cpp\0' | wrong_keys
}
# wrong KEY LINE…: the check fails, and names the key.
wrong() {
  local key=$1 said
  shift
  ! said=$(keys "$@") && grep -qF "the key \"$key\" is not in snake_case" <<<"$said"
}

expect 'snake_case' keys 'node.field("in_use", x);' 'node->child("bar0").hex("mapped_at", y);' 'show("memory_window", w);'
expect 'patterns' keys 'node.child(fmt::format("queue_{}", i));' 'node.field(fmt::format("00:{:02x}.{}", a, b), c);' 'x.hex(fmt::format("{:#x}", i), 1);'
expect 'names that are computed' keys 'node.child(device.name());'
expect 'what is not a key' keys 'log::info("In use: {}", x);' 'node.get("In use");'
expect 'a space' wrong 'in use' 'node.field("in use", x);'
expect 'a hyphen' wrong 'MSI-X' 'node.child("MSI-X");'
expect 'a capital letter' wrong 'rom_Base' 'node.hex("rom_Base", 1);'
expect 'a call over two lines' wrong 'in use' 'node.field(' '    "in use", x);'
expect 'the second call of a line' wrong 'in use' 'node.child("bars").field("in use", x);'
expect 'a pattern with a hyphen' wrong 'queue-{}' 'node.child(fmt::format("queue-{}", i));'
expect 'a pattern with a space' wrong 'root port {}' 'node.child(' '    fmt::format("root port {}", i));'
expect 'one in the middle of good ones' wrong 'in use' 'a.field("b", 1);' 'a.field("in use", 1);' 'a.field("c", 1);'
expect "the product's keys" eval '(cd "$REPO" && check_keys)'

finish
