# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Tools from Debian packages: what the lab needs is installed on first use; what would disturb the machine
# (kernels, busybox-static, which replaces busybox) is only downloaded and unpacked under build/lab. Sourced, never run.

# command (or /file) = package
LAB_NEEDS=(
  qemu-system-x86_64=qemu-system-x86
  /usr/share/OVMF/OVMF_CODE.fd=ovmf
  /usr/share/seabios/vgabios-stdvga.bin=seabios
  depmod=kmod
  cpio=cpio
  xz=xz-utils
  zstd=zstd
  lspci=pciutils
  cc=gcc
  make=make
  /usr/include/stdio.h=libc6-dev
  ip=iproute2
)

lab_missing_packages() {
  local need what
  for need in "${LAB_NEEDS[@]}"; do
    what=${need%%=*}
    if [[ $what == /* ]]; then
      [[ -e $what ]] || printf '%s\n' "${need#*=}"
    else
      command -v "$what" >/dev/null || printf '%s\n' "${need#*=}"
    fi
  done
}

# apt-get, quiet, never asking. Output names package hosts: it stays in the log under build/.
lab_apt() {
  mkdir -p "$LAB_CACHE/log"
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@" \
    >>"$LAB_CACHE/log/apt.log" 2>&1 </dev/null
}

lab_apt_update() {
  [[ $(id -u) == 0 ]] || lab_die "the package lists are missing or old; run 'apt-get update' as root, then try again" 1
  lab_stage "updating the package lists"
  lab_apt update || lab_die "'apt-get update' failed; see $LAB_CACHE/log/apt.log" 1
}

lab_install_packages() {
  local -a missing
  mapfile -t missing < <(lab_missing_packages)
  ((${#missing[@]})) || return 0
  [[ $(id -u) == 0 ]] || lab_die "missing packages: install them as root with 'apt-get install ${missing[*]}'" 1
  lab_stage "installing ${missing[*]}"
  if ! lab_apt install -y --no-install-recommends "${missing[@]}"; then
    lab_apt_update
    lab_apt install -y --no-install-recommends "${missing[@]}" \
      || lab_die "'apt-get install ${missing[*]}' failed; see $LAB_CACHE/log/apt.log" 1
  fi
}

# lab_unpack_package PACKAGE DIR: downloads and unpacks without installing.
lab_unpack_package() {
  local package=$1 dir=$2 tmp
  tmp=$(lab_tmp_dir)
  if ! (cd "$tmp" && lab_apt download "$package"); then
    lab_apt_update
    (cd "$tmp" && lab_apt download "$package") \
      || lab_die "cannot download the package $package; see $LAB_CACHE/log/apt.log" 1
  fi
  dpkg -x "$tmp"/*.deb "$dir"
  rm -rf "$tmp"
}

# The static busybox of the initramfs images, as $LAB_CACHE/tools/busybox.
lab_get_busybox() {
  local tmp
  [[ -x $LAB_CACHE/tools/busybox ]] && return 0
  lab_stage "fetching busybox-static"
  tmp=$(lab_tmp_dir)
  lab_unpack_package busybox-static "$tmp"
  mkdir -p "$LAB_CACHE/tools"
  mv "$tmp/bin/busybox" "$LAB_CACHE/tools/busybox"
  rm -rf "$tmp"
}
