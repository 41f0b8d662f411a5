#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows the volume of cloud-init's files to the tools of others: fsck.vfat judges the file system, blkid finds it as cloud-init
# does, mtools reads the files, a YAML parser of another language the ones that gpuvm makes.
#   nocloud_test.sh EMITTER
# Exit status 77 (skipped): a tool is not installed.
set -euo pipefail
emitter=$1
PATH=$PATH:/usr/sbin:/sbin
for tool in fsck.vfat blkid mcopy mdir; do
  command -v "$tool" >/dev/null || { echo "$tool not found: install dosfstools, util-linux and mtools"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }

key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me "and" myself'
echo "$key" >"$work/key.pub"
printf 'version: 2\nethernets: {}\n' >"$work/network"
# Of no cluster, of less than one, of exactly one, of more, and of more clusters than the smallest volume has.
for size in 0 100 512 513 3000000; do
  { printf '#!/bin/sh\n'; head -c "$size" /dev/urandom; } >"$work/user"
  [[ $size != 0 ]] || : >"$work/user"
  "$emitter" "$work/volume" "$work/user" "$work/network" "$work/key.pub" || fail "emitter"
  fsck.vfat -n -v "$work/volume" >"$work/fsck" 2>&1 || { cat "$work/fsck"; fail "fsck.vfat, $size bytes"; }
  ! grep -iE 'wrong|bad|differ|invalid|reclaimed|dirty|orphan|free cluster summary' "$work/fsck" || fail "fsck.vfat complains"
  grep -q '2 FATs, 16 bit entries' "$work/fsck" || { cat "$work/fsck"; fail "not FAT16"; }
  [[ $(blkid -p -s LABEL -o value "$work/volume") == CIDATA ]] || fail "label"
  [[ $(blkid -p -s TYPE -o value "$work/volume") == vfat ]] || fail "type"
  [[ $(mdir -b -i "$work/volume" :: | sort | tr '\n' ' ') == '::/meta-data ::/network-config ::/user-data ::/vendor-data ' ]] || fail "names"
  for file in user-data:user network-config:network; do
    mcopy -n -i "$work/volume" "::/${file%:*}" "$work/read"
    cmp "$work/read" "$work/${file#*:}" || fail "$file, $size bytes"
    rm -f "$work/read"
  done
done

mcopy -i "$work/volume" ::/meta-data ::/vendor-data "$work/"
grep -qx 'local-hostname: "render-1"' "$work/meta-data" || fail "meta-data"
if python3 -c 'import yaml' 2>/dev/null; then
  KEY=$key python3 - "$work" <<'END' || fail "a YAML parser reads something else"
import os, sys, yaml
key = os.environ["KEY"]
meta = yaml.safe_load(open(sys.argv[1] + "/meta-data"))
vendor = yaml.safe_load(open(sys.argv[1] + "/vendor-data"))
assert sorted(meta) == ["instance-id", "local-hostname", "public-keys"], meta
assert meta["public-keys"] == [key], meta
assert vendor == {"disable_root": False, "ssh_authorized_keys": [key]}, vendor
END
fi
echo ok
