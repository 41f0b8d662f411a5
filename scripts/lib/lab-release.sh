# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What comes from another Debian release than this machine's, unpacked beside the system: firmware and programs for tests;
# lab-qemu.sh and lab-kernels.sh fetch more. The mirror is the one that apt uses for this release. Sourced, never run.

LAB_EXIT_ABSENT=3 # a package of another release is not to be had: the status of scripts/lab, on which a test may skip itself

# Where apt finds this release.
lab_mirror() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' \
    | awk '$2 == "main" && !found++ { print $1 }'
}

# lab_open_release RELEASE DIR: fills LAB_RELEASE_APT with options that make apt see only that release, keep everything in DIR and
# think that no package is installed. Fails where the mirror has no such release.
lab_open_release() {
  local release=$1 dir=$2 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(lab_mirror)
  if [[ -z $mirror ]]; then
    lab_apt_update
    mirror=$(lab_mirror)
  fi
  [[ -n $mirror && -e $keyring ]] || return 1
  mkdir -p "$dir"/{lists,cache/archives}/partial
  : >"$dir/status"
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$release" >"$dir/sources.list"
  LAB_RELEASE_APT=(-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o APT::Default-Release= -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o Acquire::Languages=none
    -o "Dir::State::Lists=$dir/lists" -o "Dir::State::Status=$dir/status" -o "Dir::Cache=$dir/cache" -o Debug::NoLocking=true
    # A mirror's copy of a release that changes every day may be some days old.
    -o Acquire::Check-Valid-Until=false)
  lab_apt "${LAB_RELEASE_APT[@]}" update
}

# The firmware of another Debian release, unpacked as $LAB_CACHE/ovmf/RELEASE. Fails where there is none.
lab_get_ovmf() {
  local release=$1 tmp
  [[ -e $LAB_CACHE/ovmf/$release/OVMF_CODE_4M.fd ]] && return 0
  lab_stage "fetching ovmf of $release"
  tmp=$(lab_tmp_dir)
  if ! { lab_open_release "$release" "$tmp" && (cd "$tmp" && lab_apt "${LAB_RELEASE_APT[@]}" download ovmf); }; then
    rm -rf "$tmp"
    return 1
  fi
  # One by one: whoever calls this in a condition has switched set -e off.
  dpkg -x "$tmp"/ovmf_*.deb "$tmp/deb" || return 1
  mkdir -p "$LAB_CACHE/ovmf" || return 1
  mv -T "$tmp/deb/usr/share/OVMF" "$LAB_CACHE/ovmf/$release" || return 1
  rm -rf "$tmp"
}

# lab_fetch_program RELEASE DIR PACKAGE…: the packages and all that they need, the C library included, in DIR/cache/archives.
lab_fetch_program() {
  lab_open_release "$1" "$2" && lab_apt "${LAB_RELEASE_APT[@]}" install --download-only -y --no-install-recommends "${@:3}"
}

# lab_die_absent WHAT RELEASE: ends this script, where the mirror has no such release or package.
lab_die_absent() {
  lab_die "$1 of Debian $2 cannot be fetched: apt's mirror of bookworm must carry $2, too, and the package debian-archive-keyring be \
up to date; see $LAB_CACHE/log/apt.log" "$LAB_EXIT_ABSENT"
}

# virtme-ng of Debian trixie, which is Python: $LAB_CACHE/virtme-ng/modules, and the busybox that its guests want beside it.
lab_get_virtme_ng() {
  local tmp
  [[ -d $LAB_CACHE/virtme-ng/modules ]] && return 0
  lab_get_busybox
  lab_stage "fetching virtme-ng of trixie"
  tmp=$(lab_tmp_dir)
  if ! { lab_open_release trixie "$tmp" && (cd "$tmp" && lab_apt "${LAB_RELEASE_APT[@]}" download virtme-ng); }; then
    rm -rf "$tmp"
    lab_die_absent virtme-ng trixie
  fi
  dpkg -x "$tmp"/virtme-ng_*.deb "$tmp/deb"
  mkdir "$tmp/virtme-ng"
  mv -T "$tmp/deb/usr/lib/python3/dist-packages" "$tmp/virtme-ng/modules"
  cp "$LAB_CACHE/tools/busybox" "$tmp/virtme-ng/"
  mv -T "$tmp/virtme-ng" "$LAB_CACHE/virtme-ng"
  rm -rf "$tmp"
}

# fwts, the firmware test suite, of Debian sid: $LAB_CACHE/fwts is a folder for a guest's root, with bin/fwts that runs it by its
# own loader, and without the tools that only its tests of other platforms start.
lab_get_fwts() {
  local tmp package name library
  [[ -e $LAB_CACHE/fwts/bin/fwts ]] && return 0
  lab_stage "fetching fwts of sid"
  tmp=$(lab_tmp_dir)
  if ! lab_fetch_program sid "$tmp" fwts; then
    rm -rf "$tmp"
    lab_die_absent fwts sid
  fi
  for package in "$tmp"/cache/archives/*.deb; do
    dpkg -x "$package" "$tmp/all"
  done
  name=usr/lib/x86_64-linux-gnu
  mkdir -p "$tmp/fwts/bin" "$tmp/fwts/fwts"
  cp "$tmp/all/usr/bin/fwts" "$tmp/all/usr/share/fwts/klog.json" "$tmp/fwts/fwts/"
  cp "$tmp/all/$name/ld-linux-x86-64.so.2" "$tmp/fwts/fwts/"
  for library in $("$tmp/all/$name/ld-linux-x86-64.so.2" --library-path "$tmp/all/$name:$tmp/all/$name/fwts" --list \
    "$tmp/all/usr/bin/fwts" | grep -o "${tmp}[^ ]*"); do
    cp -L "$library" "$tmp/fwts/fwts/"
  done
  printf '#!/bin/sh\nexec /fwts/ld-linux-x86-64.so.2 --library-path /fwts /fwts/fwts -j /fwts "$@"\n' >"$tmp/fwts/bin/fwts"
  chmod 755 "$tmp/fwts/bin/fwts"
  rm -rf "$LAB_CACHE/fwts"
  mv -T "$tmp/fwts" "$LAB_CACHE/fwts"
  rm -rf "$tmp"
}

# systemd of Debian trixie (257) as the whole root of a guest, with few modules of kernel 6.12: $LAB_CACHE/systemd. Its /init loads
# these and becomes systemd, as if a disk's boot loader and initrd had come before.
lab_get_systemd() {
  local tmp root package missing needed=(virtio_pci virtio_console vmw_vsock_virtio_transport dmi-sysfs)
  [[ -e $LAB_CACHE/systemd/init ]] && return 0
  lab_get_kernel 6.12
  lab_stage "fetching systemd of trixie"
  tmp=$(lab_tmp_dir)
  root=$tmp/root
  if ! lab_fetch_program trixie "$tmp" systemd-sysv base-files dash coreutils sed mount kmod; then
    rm -rf "$tmp"
    lab_die_absent systemd trixie
  fi
  for package in "$tmp"/cache/archives/base-files_*.deb "$tmp"/cache/archives/*.deb; do # the former has the links of /bin and others
    dpkg -x "$package" "$root"
  done
  rm -rf "$root"/usr/share/{doc,man,info,locale,bash-completion,zsh,lintian,common-licenses,zoneinfo,polkit-1} "$root"/usr/lib/udev/hwdb.d \
    "$root"/usr/lib/x86_64-linux-gnu/{gconv,perl-base,perl5} "$root"/usr/share/perl*
  missing=$(lab_copy_modules 6.12 "$root" "${needed[@]}")
  [[ -z $missing ]] || lab_die "kernel 6.12 has no module ${missing//$'\n'/, }" 1
  depmod -b "$root" "$(lab_kernel_release 6.12)" 2>/dev/null # kmod wants the indices that busybox does without
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\ntty:x:5:\n' >"$root/etc/group"
  printf '%032d\n' 1 >"$root/etc/machine-id"
  ln -sfn /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
  cat >"$root/init" <<END
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
modprobe -a ${needed[*]}
exec /usr/lib/systemd/systemd "\$@"
END
  chmod 755 "$root/init"
  rm -rf "$LAB_CACHE/systemd"
  mv -T "$root" "$LAB_CACHE/systemd"
  rm -rf "$tmp"
}
