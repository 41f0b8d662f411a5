# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The Debian system in an image: packages by mmdebstrap, our files of scripts/image, what the options ask for. Sourced by
# scripts/make-image, whose options are variables here.

IMAGE_FILES=$image_here/image
IMAGE_SELF=${0##*/}
PATH=$PATH:/usr/sbin:/sbin # where an ordinary user's PATH does not look for sfdisk and mke2fs

# What every image has, beside the kernel and Debian's essential packages.
IMAGE_PACKAGES=(apt systemd-sysv systemd-boot-efi systemd-resolved udev dbus kmod initramfs-tools lz4 e2fsprogs openssh-server iproute2
  iputils-ping procps less ca-certificates)
# Work that a guest should not begin by itself, least of all right after it was started.
IMAGE_MASKED=(apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer)

# command = package
IMAGE_NEEDS=(mmdebstrap=mmdebstrap sfdisk=fdisk mke2fs=e2fsprogs debugfs=e2fsprogs mkfs.vfat=dosfstools mcopy=mtools
  ssh-keygen=openssh-client)

image_die() {
  printf '%s: %s\n' "$IMAGE_SELF" "$1" >&2
  exit "${2:-2}"
}

image_stage() { printf '%s: [%3d s] %s\n' "$IMAGE_SELF" "$SECONDS" "$1" >&2; }

image_check_programs() {
  local need missing=()
  [[ $(id -u) == 0 ]] || IMAGE_NEEDS+=(newuidmap=uidmap)
  for need in "${IMAGE_NEEDS[@]}"; do
    command -v "${need%%=*}" >/dev/null || missing+=("$need")
  done
  ((${#missing[@]} == 0)) || image_die "$(printf 'missing: %s; ' "${missing[@]%%=*}")install as root: apt-get install $(
    printf '%s\n' "${missing[@]#*=}" | sort -u | tr '\n' ' ')" 1
  [[ $(id -u) == 0 ]] || grep -q "^$(id -un):" /etc/subuid \
    || image_die "without root, $(id -un) needs a range of user ids in /etc/subuid and /etc/subgid: usermod --add-subuids 100000-165535 \
--add-subgids 100000-165535 $(id -un)" 1
}

# Debian's repositories of this machine's apt, for the release that is asked for: lines of sources.list(5).
image_sources() {
  local host line list
  list=$(printf '%s\n' "${components[@]}" | awk '!seen[$0]++' | paste -sd ' ')
  host=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # apt's own variables
  line=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null \
    | awk -v host="$host" -v suite="$suite" -v list="$list" '$3 == "main" && $2 ~ "^" host "(-(updates|security))?$" {
        sub(host, suite, $2); print "deb " $1 " " $2 " " list }')
  if [[ -z $line ]]; then
    line="deb http://deb.debian.org/debian $suite $list
deb http://deb.debian.org/debian $suite-updates $list
deb http://deb.debian.org/debian-security $suite-security $list"
  fi
  printf '%s\n' "$line" "${repositories[@]}"
}

# What mmdebstrap's last hook runs with the new system's folder: what the options ask for.
image_write_hook() {
  cat <<END
set -eu
echo $hostname >"\$1/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 $hostname\n::1 localhost ip6-localhost\n' >"\$1/etc/hosts"
rm -f "\$1"/etc/ssh/ssh_host_*_key* "\$1/etc/resolv.conf" "\$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
ln -s ../run/systemd/resolve/stub-resolv.conf "\$1/etc/resolv.conf"
chroot "\$1" systemctl --quiet enable systemd-networkd systemd-resolved gpuvm-ssh-key gpuvm-run
chroot "\$1" systemctl --quiet mask ${IMAGE_MASKED[*]}
install -d -m 700 "\$1/root/.ssh" "\$1/boot/efi"
END
  [[ -z $ssh_key ]] || printf 'echo %s | base64 -d >"$1/root/.ssh/authorized_keys"\n' "$(base64 -w0 "$ssh_key")"
  ((!is_password_less)) || printf 'chroot "$1" passwd --quiet -d root\n'
  [[ " ${packages[*]} " != *' cloud-init '* ]] || cat <<'END'
cat >"$1/etc/cloud/cloud.cfg.d/90-gpuvm.cfg" <<'CONFIG'
# User data come on a disk, or cloud-init does not run. One kind of SSH key, as in sshd_config.d; root's keys of the image stay.
# The image has C.UTF-8 alone, and nothing that makes another locale: user data that want one install the package "locales".
datasource_list: [NoCloud, ConfigDrive, None]
ssh_genkeytypes: [ed25519]
ssh_deletekeys: false
locale: false
disable_root: false
system_info: {network: {renderers: [networkd]}}
CONFIG
echo 'policy: search,found=first,maybe=none,notfound=disabled' >"$1/etc/cloud/ds-identify.cfg"
END
}

image_mmdebstrap_options() {
  local hook glob
  image_options=(--variant=essential --architectures=amd64 --mode="$([[ $(id -u) == 0 ]] && echo root || echo unshare)" --format=tar
    --include="$(IFS=, && echo "${IMAGE_PACKAGES[*]},$kernel${packages[*]:+,${packages[*]}}")"
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"'
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*'
    --essential-hook="tar-in $work/files.tar /" --customize-hook="sh $work/hook \"\$1\"")
  for glob in "${excludes[@]}"; do
    image_options+=(--dpkgopt="path-exclude=$glob")
  done
  for hook in "${hooks[@]}"; do
    image_options+=(--customize-hook="$(printf '%q' "$(readlink -f "$hook")") \"\$1\"")
  done
}

# A shell that is root of the files that mmdebstrap wrote.
image_as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else mmdebstrap --unshare-helper "$@"; fi
}

# The system as a tar, from which the root file system is made at its place in the disk.
image_build_system() {
  chmod 711 "$work"
  tar -C "$IMAGE_FILES" --owner=0 --group=0 --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf "$work/files.tar" .
  image_write_hook >"$work/hook"
  image_sources >"$work/sources"
  image_mmdebstrap_options
  image_stage "installing Debian $suite with $kernel${packages[*]:+ and ${packages[*]}}"
  mmdebstrap "${image_options[@]}" "$suite" - "$work/sources" >"$work/system.tar" 2>"$work/log" || {
    tail -n 25 "$work/log" >&2
    image_die "mmdebstrap has failed; what it said last is above" 1
  }
  image_stage "writing the root file system"
  image_make_root || image_die "the root file system could not be made: is $size enough for it? see --size" 1
  rm "$work/system.tar"
}
