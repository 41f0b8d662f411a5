#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian package, as a new user has it: installed by apt on a clean Debian 12, which mmdebstrap makes and takes away again, with what
# README.md says to do first; judged by lintian, zsh, fish and jsonschema; and the program in it, in a lab host, with the entry
# that gpuvm devices prints.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

[[ $(id -u) == 0 ]] || skip "the clean Debian is made as root"
fresh_out
scripts/package --gpuvm-build "$(dirname "$LAB_GPUVM")" --out "$OUT/deb" | tee "$OUT/package.log"
deb=$(cut -d ' ' -f 1 "$OUT/package.log")

# Beside the packages: sums that are theirs, and a bill of materials that names what the package depends on.
(cd "$OUT/deb" && sha256sum --quiet -c SHA256SUMS)
(("$(wc -l <"$OUT/deb/SHA256SUMS")" == 3)) || { echo "NOT OK: SHA256SUMS has not three lines" && exit 1; }
# Some that it depends on are names that another package provides.
for depended in $(dpkg-deb -f "$deb" Depends | tr ',' '\n' | awk '{print $1}'); do
  provider=$(dpkg-query -W -f '${Package} ${Provides}\n' | awk -v name="$depended" '
    { gsub(/[(][^)]*[)]|,/, ""); for (i = 2; i <= NF; ++i) if ($i == name) found = $1 } END { print found }')
  jq -e --arg name "$depended" --arg provider "$provider" 'any(.components[]; .name == $name or .name == $provider)' \
    "${deb%.deb}.cdx.json" >/dev/null \
    || { echo "NOT OK: the bill of materials lacks $depended" && exit 1; }
done

# What the clean system gets to see of this one. Its host name is its own: packages may set it.
mkdir -p "$OUT/given/older"
cp "$OUT"/deb/*.deb tests/cli/*_test.sh tests/lab/package/clean.sh "$OUT/given"
mkdir "$OUT/given/source"
git ls-files -z configs examples man tests/fixtures/hosts | xargs -0 cp --parents -t "$OUT/given/source"
# An older version of it, for an upgrade: with another unit.
dpkg-deb -R "$deb" "$OUT/older"
sed -i 's/^Version: .*/Version: 0.0.1-1/' "$OUT/older/DEBIAN/control"
echo '# of the older version' >>"$OUT/older/usr/lib/systemd/system/gpuvm@.service"
dpkg-deb --root-owner-group --build "$OUT/older" "$OUT/given/older/gpuvm_0.0.1-1_amd64.deb" >/dev/null
rm -r "$OUT/older"
status=0
unshare --uts mmdebstrap --variant=apt --mode=root --format=null --components=main \
  --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' --dpkgopt=force-unsafe-io \
  --customize-hook="copy-in $OUT/given /" --customize-hook='chroot "$1" bash /given/clean.sh' bookworm - \
  >"$OUT/clean.log" 2>&1 || status=$?
grep -E '^(ok|NOT OK|took|[0-9]+ checks)' "$OUT/clean.log" || true
grep -q '^[0-9]* checks, 0 failed$' "$OUT/clean.log" || { tail -n 60 "$OUT/clean.log" && exit 1; }
((status == 0)) || { tail -n 20 "$OUT/clean.log" && exit 1; }

# Its program is the one that a package has: without symbols, and found by nobody's path.
mkdir "$OUT/installed"
dpkg-deb -x "$deb" "$OUT/installed"
use_kernel 6.12
LAB_GPUVM=$OUT/installed/usr/bin/gpuvm inside gpu,usb package.sh
