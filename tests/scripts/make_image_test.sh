#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/make-image: what it refuses before anything is downloaded, and which packages and repositories it asks mmdebstrap for. That
# its images boot is shown in the lab (tests/lab/node_test.sh).
. "$(dirname "$0")/checks.sh"
cd "$WORK"

# refused WHAT TEXT OPTION…: status 2, one line that has TEXT, and no file left.
refused() {
  local status=0
  "$REPO/scripts/make-image" "${@:3}" >out 2>error </dev/null || status=$?
  expect "$1: status 2" same "$status" 2
  expect "$1: one line that says '$2'" test "$(grep -cF -- "$2" error) $(wc -l <error)" = '1 1'
  expect "$1: nothing is left" test "$(compgen -G '*.img*')" = ''
}

ssh-keygen -q -t ed25519 -N '' -f key
refused 'no file' 'which file?'
refused 'two files' 'one OUTPUT.img' a.img b.img
refused 'a folder' 'is a folder' .
refused 'a folder that is not there' 'absent: no such folder' absent/a.img
refused 'an unknown option' "unknown option '--fast'" a.img --fast yes
refused 'an option without a value' '--suite needs a value' a.img --suite
refused 'a size that is none' "--size is a size such as 3GiB, not 'large'" a.img --size large
refused 'a size in no unit' "--size is a size such as 3GiB, not '3iB'" a.img --size 3iB
refused 'a size in powers of ten' "--size is a size such as 3GiB, not '3GB'" a.img --size 3GB
refused 'a size that is too small' '--size 100MiB: a system needs 1GiB or more' a.img --size 100MiB
refused 'a host name that is none' '--hostname is of a-z' a.img --hostname Node_1
refused 'a suite that is none' "--suite is a release's name" a.img --suite 'book worm'
refused 'a group that is not there' '--with games: there is mesa' a.img --with games
refused 'the private key' 'is the private key; give key.pub' a.img --ssh-key key
refused 'a key that is none' 'is no public key' a.img --ssh-key error
refused 'a hook that cannot be run' '--hook: key is no program' a.img --hook key

# A mmdebstrap that only says how it was called.
mkdir bin
printf '#!/bin/sh\nprintf "%%s\\n" "$@" >&2\nexit 1\n' >bin/mmdebstrap
chmod 755 bin/mmdebstrap
ln -s /bin/true hook
called() { ! PATH=$WORK/bin:$PATH "$REPO/scripts/make-image" a.img "$@" >out 2>error </dev/null; }
expect 'a failed mmdebstrap is an error' called --size 2GiB --ssh-key key.pub --with mesa,cloud-init --packages lshw --hook hook --exclude '/usr/share/x/*'
expect 'nothing is left' test "$(compgen -G '*.img*')" = ''
expect 'its end is shown' grep -qF 'mmdebstrap has failed' error
expect 'packages of all options' grep -q -- '^--include=apt,.*,linux-image-amd64,libgl1-mesa-dri,.*,cloud-init,lshw$' error
expect 'the hook, by its whole path' grep -qF -- "--customize-hook=$(readlink -f hook) \"\$1\"" error
expect 'what is left out' grep -qFx -- '--dpkgopt=path-exclude=/usr/share/x/*' error

# The key of a guest's ssh_key, beside the one that the image has: systemd-tmpfiles makes it of the credential, and sshd reads it.
tmpfiles=$REPO/scripts/image/etc/tmpfiles.d/gpuvm.conf
expect 'sshd reads the file' grep -qE "^AuthorizedKeysFile .*$(awk '$1 ~ /\^$/ { sub("/root$", "/%u", $2); print $2 }' "$tmpfiles")\$" \
  "$REPO/scripts/image/etc/ssh/sshd_config.d/gpuvm.conf"
if command -v systemd-tmpfiles >/dev/null && [[ $(id -u) == 0 ]]; then
  mkdir -p credentials root/root/.ssh
  echo 'the key of the image' >root/root/.ssh/authorized_keys
  for key in first second; do # another one at a later boot
    echo "$key" >credentials/ssh.authorized_keys.root
    expect "a credential: the $key key" env CREDENTIALS_DIRECTORY="$WORK/credentials" systemd-tmpfiles --create --root="$WORK/root" "$tmpfiles"
    expect "the $key key is there" same "$(cat root/run/gpuvm-ssh/root)" "$key"
  done
  expect 'for root alone' same "$(stat -c '%a %U' root/run/gpuvm-ssh/root)" '600 root'
  expect 'without a credential nothing is wrong' env -u CREDENTIALS_DIRECTORY systemd-tmpfiles --create --root="$WORK/root" "$tmpfiles"
fi

# The sources, of this machine's apt or Debian's own.
image_here=$REPO/scripts
. "$REPO/scripts/lib/image-system.sh"
suite=trixie components=(main contrib main) repositories=('deb [trusted=yes] file:/x ./')
image_sources >sources
expect 'the suite' grep -qE '^deb [^ ]*/debian/? trixie main contrib$' sources
expect 'its security suite' grep -qE '^deb .* trixie-security main contrib$' sources
expect 'the repository that was asked for' grep -qFx 'deb [trusted=yes] file:/x ./' sources
finish
