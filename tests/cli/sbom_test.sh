#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The bill of materials (scripts/sbom) has what CycloneDX 1.5 requires and what a user looks for: every shared library of the program, with
# package, version and package URL; the code that is compiled in; the program's sum. Twice the same program is twice the same text.
# Usage: sbom_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
source=$2
for tool in dpkg-query jq ldd bash; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is needed"; exit 77; }
done
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

complain() {
  printf 'FAILED: %s\n' "$1"
  failures=$((failures + 1))
}

bash "$source/scripts/sbom" "$gpuvm" >"$folder/sbom" 2>"$folder/stderr" || { cat "$folder/stderr" && exit 1; }

# holds WHAT FILTER: of the whole text.
holds() { jq -e "$2" "$folder/sbom" >/dev/null || complain "$1"; }

holds "format and version" '.bomFormat == "CycloneDX" and .specVersion == "1.5" and .version == 1'
holds "the program with its version" '.metadata.component | .type == "application" and .name == "gpuvm" and (.version | test("^[0-9]+[.][0-9]+"))'
holds "type, name, version and reference of each" \
  'all(.components[]; (.type | IN("library", "application")) and (.name | length > 0) and (.version | length > 0) and (."bom-ref" | length > 0))'
holds "package URLs of Debian" 'all(.components[]; .purl | test("^pkg:deb/debian/[^@]+@[^?]+[?]arch="))'
holds "no reference twice" '[.components[]."bom-ref"] | length == (unique | length)'
holds "what depends on what" '.dependencies[0].dependsOn as $on | all(.components[]; ."bom-ref" | IN($on[]))'
for name in libc6 libstdc++6 libfmt9 nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libfdt-dev; do
  dpkg-query -W "$name" >/dev/null 2>&1 || continue
  holds "$name" "any(.components[]; .name == \"$name\")"
done
[ "$(jq -r '.metadata.component.hashes[0].content' "$folder/sbom")" = "$(sha256sum "$gpuvm" | cut -d ' ' -f 1)" ] \
  || complain "the program's sum is another's"

# A library of no package is named all the same; those are all of the program.
libraries=$(ldd "$gpuvm" | grep -c '=> /')
[ "$(jq '[.components[] | select(.properties[0].value | startswith("shared library"))] | length' "$folder/sbom")" -le "$libraries" ] \
  || complain "more libraries than the program has"

bash "$source/scripts/sbom" "$gpuvm" | cmp -s - "$folder/sbom" || complain "the same program has another text"
bash "$source/scripts/sbom" /nowhere >/dev/null 2>&1 && complain "a program that is not there has one"
exit "$failures"
