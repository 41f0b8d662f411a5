#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs in a clean Debian: installs the package of /given as README.md says, and tries what is in it. Prints "ok: …" or "NOT OK: …" for each
# check. tests/lab/package_test.sh calls it.
set -uo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PAGER=cat
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /root || exit 1
declare -i checks=0 failed_checks=0
hosts=/given/source/tests/fixtures/hosts

expect() {
  local what=$1
  shift
  checks+=1
  if "$@" >/tmp/expect 2>&1; then
    printf 'ok: %s\n' "$what"
  else
    failed_checks+=1
    printf 'NOT OK: %s (%s)\n' "$what" "$*"
    tail -n 20 /tmp/expect
  fi
}
took() { printf 'took %s: %d s\n' "$1" "$SECONDS"; }

# says STATUS PATTERN COMMAND…: that exit status, and a line of its output matches.
# shellcheck disable=SC2317  # expect calls it
says() {
  local wanted=$1 pattern=$2 status=0
  shift 2
  "$@" >/tmp/says 2>&1 || status=$?
  cat /tmp/says
  [[ $status == "$wanted" ]] && grep -qE -e "$pattern" /tmp/says
}

# ---- What README.md says of the package.

apt-get -qq update
expect 'apt installs the package with what it needs' apt-get install -y /given/gpuvm_*.deb
took install
expect 'it is the version' says 0 '^gpuvm [0-9]+\.[0-9]+\.[0-9]+$' gpuvm --version
expect 'gpuvm check answers, on a machine that has not all' says 69 'FAIL +(kvm|iommu_groups|vfio_module)' gpuvm check
expect 'and says how to cure it' says 69 'cure: ' gpuvm check
expect 'gpuvm devices answers' says 0 . gpuvm devices
expect 'gpuvm devices has names (pci.ids)' says 0 'NVIDIA Corporation' gpuvm devices --snapshot "$hosts/hgx-h200.json" --gpu
expect 'gpuvm check of a saved host' says 69 'iommu_groups' gpuvm check --snapshot "$hosts/desktop-no-iommu.json"
expect 'a tree of a saved host' diff <(gpuvm devices --snapshot "$hosts/threadripper-1900x.json" --tree) "$hosts/threadripper-1900x.tree"

# README.md's way from there to a guest: the example with the entries that are printed in place of its own.
cp /usr/share/doc/gpuvm/examples/gpu-linux.toml example.toml
gpuvm devices --snapshot "$hosts/threadripper-1900x.json" --gpu >printed
{ sed '/^# The GPU, with/,/^\[console\]/{/^\[console\]/!d}' example.toml; sed -n '/^# .*: can be passed/,$p' printed; } >guest.toml
cat guest.toml
expect 'it has an entry' grep -q '^\[\[pci\]\]' guest.toml
expect 'which gpuvm takes' gpuvm validate guest.toml
for example in /usr/share/doc/gpuvm/examples/*.toml; do
  [[ $example == */reference.toml ]] || expect "the example $(basename "$example") is valid" gpuvm validate "$example"
done
expect 'the reference lacks a kernel alone' says 78 'boot.kernel is missing' gpuvm validate /usr/share/doc/gpuvm/examples/reference.toml
expect 'a run without KVM is refused in one line' says 78 '^gpuvm: error: ' gpuvm run guest.toml

# ---- What else is in it.

expect 'the group is there' getent group gpuvm
expect 'and the user of helpers' getent passwd gpuvm-helper
expect 'it can go' apt-get remove -y gpuvm
expect 'and come back' apt-get install -y /given/gpuvm_*.deb

# ---- From an older version to this one, while guests run: systemd is not here, so what it is told is written down.

apt-get remove -y gpuvm >/dev/null 2>&1
mkdir -p /run/systemd/system /etc/systemd/system/gpuvm@main.service.d
for program in systemctl udevadm; do # in /usr/sbin: apt gives maintainer scripts a path of its own (DPkg::Path)
  # shellcheck disable=SC2016
  printf '#!/bin/sh\necho "%s $*" >>/tmp/told\n' "$program" >"/usr/sbin/$program"
  chmod 755 "/usr/sbin/$program"
done
expect 'an older version installs' apt-get install -y /given/older/gpuvm_0.0.1-1_amd64.deb
expect 'it is the older one' says 0 '^0\.0\.1-1$' dpkg-query -W -f '${Version}\n' gpuvm
mkdir -p /etc/gpuvm /run/gpuvm /var/lib/gpuvm
printf 'boot.kernel = "/vmlinuz"\n' >/etc/gpuvm/main.toml
printf '[Service]\nDeviceAllow=/dev/vg0/main rw\n' >/etc/systemd/system/gpuvm@main.service.d/disk.conf
chmod 640 /etc/gpuvm/main.toml
echo variables >/var/lib/gpuvm/main.vars
echo 'owner=1' >/run/gpuvm/0000:01:00.0.state
: >/run/gpuvm/main.sock.lock
kept() { stat -c '%n %a %i %Y' /etc/gpuvm/main.toml /etc/systemd/system/gpuvm@main.service.d/disk.conf /var/lib/gpuvm/main.vars /run/gpuvm/* && cat /etc/gpuvm/main.toml; }
kept >/tmp/kept
# A process of the older program, as a guest would be.
mkfifo /tmp/waits
gpuvm convert - </tmp/waits >/dev/null 2>&1 &
guest=$!
exec 9>/tmp/waits
: >/tmp/told
expect 'it is upgraded' apt-get install -y /given/gpuvm_*.deb
cat /tmp/told
expect 'to the new version' says 0 '^[0-9.]+-1$' dpkg-query -W -f '${Version}\n' gpuvm
expect 'which is not the older one' test "$(dpkg-query -W -f '${Version}' gpuvm)" != 0.0.1-1
expect 'its unit has come along' test "$(grep -c 'of the older version' /usr/lib/systemd/system/gpuvm@.service)" = 0
expect 'systemd reads units anew' grep -q '^systemctl daemon-reload' /tmp/told
expect 'no guest is stopped or started anew' test "$(grep -cE '^systemctl (stop|restart|try-restart|kill)' /tmp/told)" = 0
expect 'nor is a process of the older program ended' kill -0 "$guest"
expect 'configuration, drop-in, variables, sockets and records of devices are as before' diff /tmp/kept <(kept)
exec 9>&-
wait "$guest"
: >/tmp/told
expect 'the new one goes' apt-get remove -y gpuvm
expect 'and stops its guests before' says 0 '^systemctl stop gpuvm@\*\.service' cat /tmp/told
expect 'the configuration stays' test -f /etc/gpuvm/main.toml
rm -r /etc/gpuvm/main.toml /etc/systemd/system/gpuvm@main.service.d /var/lib/gpuvm/main.vars /run/gpuvm/* /run/systemd/system \
  /usr/sbin/systemctl /usr/sbin/udevadm
apt-get install -y /given/gpuvm_*.deb >/dev/null 2>&1
took upgrade

apt-get -qq install -y --no-install-recommends man-db lintian zsh fish python3-jsonschema bash-completion mandoc >/dev/null 2>&1
took tools
for page in /usr/share/man/man*/gpuvm*; do
  name=$(basename "$page" .gz)
  expect "man has $name" says 0 'SEE ALSO' man "${name##*.}" "${name%.*}"
  expect "and no complaint of it" test -z "$(man --warnings -l "$page" 2>&1 >/dev/null)"
  expect "nor has mandoc an error" mandoc -Tlint -Werror "$page"
done
expect 'bash loads its completion' bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader gpuvm; complete -p gpuvm'
# zsh finds it by its file, as at a first login.
expect 'zsh loads its completion' zsh -fc 'autoload -Uz compinit; compinit -u -d /tmp/dump; [[ ${_comps[gpuvm]} == _gpuvm ]]'
expect 'fish loads its completion' says 0 '^validate' fish -c 'complete -C "gpuvm va"'
expect 'fish completes options of a verb' says 0 '^--dry-run' fish -c 'complete -C "gpuvm run --d"'
expect 'fish completes words' says 0 '^slot-power' fish -c 'complete -C "gpuvm reset --first "'
expect 'completion is what the shells take' sh /given/completion_test.sh /usr/bin/gpuvm /given/source
expect 'the schema is what validators take' sh /given/schema_test.sh /usr/bin/gpuvm /given/source
expect 'and the installed one is the same' diff <(gpuvm schema) /usr/share/gpuvm/gpuvm.schema.json
expect 'the reference says where it is' grep -qx '#:schema file:///usr/share/gpuvm/gpuvm.schema.json' /usr/share/doc/gpuvm/examples/reference.toml

lintian --fail-on error --tag-display-limit 0 /given/*.deb >/tmp/lintian 2>&1
lintian_status=$?
cat /tmp/lintian
expect 'lintian has no error' test "$lintian_status" = 0
took lintian

expect 'purged' apt-get purge -y gpuvm
expect 'nothing is left' test -z "$(find / -xdev -path /given -prune -o -name '*gpuvm*' ! -path '/proc/*' ! -path '/var/cache/*' ! -path '/var/lib/apt/*' -print)"
printf '%d checks, %d failed\n' "$checks" "$failed_checks"
exit $((failed_checks > 0))
