# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian kernels, unpacked under build/lab/kernels/NAME (vmlinuz, vmlinux, config, release, lib/modules/RELEASE), never
# installed. Sourced, never run.

LAB_KERNELS=(6.12 6.1 6.12-cloud)
LAB_ALL_KERNELS=("${LAB_KERNELS[@]}" sid) # sid: the newest, of another release, for those who ask for it; lab-release.sh fetches it

lab_kernel_package() {
  case $1 in
    6.12) echo linux-image-6.12-amd64 ;;
    6.1) echo linux-image-amd64 ;;
    6.12-cloud) echo linux-image-6.12-cloud-amd64 ;;
    sid) echo linux-image-amd64 ;;
    *) lab_die "unknown kernel '$1': choose one of ${LAB_ALL_KERNELS[*]}" ;;
  esac
}

# lab_kernel_real_package META [APT-OPTION…]: the package with the files: what the meta-package depends on today.
lab_kernel_real_package() {
  local meta=$1
  shift
  apt-cache "$@" depends "$meta" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }'
}

# lab_kernel_payload BZIMAGE: its compressed kernel (Linux, Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset at
# 0x248, payload_length at 0x24c; the last four bytes of the payload are its size when unpacked).
lab_kernel_payload() {
  local sectors offset length
  sectors=$(od -An -tu1 -j 497 -N 1 "$1")
  offset=$(od -An -tu4 -j 584 -N 4 "$1")
  length=$(od -An -tu4 -j 588 -N 4 "$1")
  tail -c +$(((sectors + 1) * 512 + offset + 1)) "$1" | head -c $((length - 4)) || true # head ends tail
}

# lab_unpack_kernel BZIMAGE ELF: the kernel in it.
lab_unpack_kernel() {
  lab_kernel_payload "$1" >"$2.payload"
  case $(head -c 4 "$2.payload" | od -An -tx1 | tr -d ' ') in
    28b52ffd) zstd -dcq "$2.payload" >"$2" ;;
    fd377a58) xz -dc "$2.payload" >"$2" ;;
    1f8b*) gzip -dc "$2.payload" >"$2" ;;
    *) lab_die "$1 is compressed in an unknown way" 1 ;;
  esac
  rm "$2.payload"
  [[ $(head -c 4 "$2" | tail -c 3) == ELF ]] || lab_die "there is no ELF file in $1" 1
}

# lab_fetch_kernel META DIR: of this machine's Debian release, as DIR/{lib,vmlinuz,config}.
lab_fetch_kernel() {
  local real release
  real=$(lab_kernel_real_package "$1")
  if [[ -z $real ]]; then
    lab_apt_update
    real=$(lab_kernel_real_package "$1")
    [[ -n $real ]] || lab_die "no package $1: add Debian 12's security suite to the apt sources, then try again" 1
  fi
  lab_stage "fetching the kernel $real"
  lab_unpack_package "$real" "$2/deb"
  release=$(basename "$2"/deb/lib/modules/*)
  mv "$2/deb/lib" "$2/lib"
  mv "$2/deb/boot/vmlinuz-$release" "$2/vmlinuz"
  mv "$2/deb/boot/config-$release" "$2/config"
  rm -r "$2/deb"
}

# lab_fetch_sid_kernel META DIR: the same of Debian sid, where a kernel is three packages.
lab_fetch_sid_kernel() {
  local tmp=$2.release real package
  mkdir -p "$tmp"
  lab_open_release sid "$tmp" || lab_die_absent "the kernel" sid
  real=$(lab_kernel_real_package "$1" "${LAB_RELEASE_APT[@]}")
  lab_stage "fetching the kernel $real"
  for package in base binary modules; do
    (cd "$tmp" && lab_apt "${LAB_RELEASE_APT[@]}" download "linux-$package-${real#linux-image-}") || lab_die_absent "the kernel" sid
  done
  for package in "$tmp"/*.deb; do
    dpkg -x "$package" "$2/deb"
  done
  mkdir -p "$2/lib"
  mv "$2/deb/usr/lib/modules" "$2/lib/modules"
  mv "$2"/lib/modules/*/{vmlinuz,config} "$2/"
  rm -r "$2/deb" "$tmp"
}

lab_get_kernel() {
  local name=$1 meta tmp release
  [[ -e $LAB_CACHE/kernels/$name/vmlinux ]] && return 0
  meta=$(lab_kernel_package "$name")
  tmp=$(lab_tmp_dir)
  mkdir -p "$tmp/kernel"
  case $name in
    sid) lab_fetch_sid_kernel "$meta" "$tmp/kernel" ;;
    *) lab_fetch_kernel "$meta" "$tmp/kernel" ;;
  esac
  release=$(basename "$tmp"/kernel/lib/modules/*)
  # Without modules.dep every modprobe, here and in the images, silently loads nothing.
  depmod -b "$tmp/kernel" "$release"
  lab_unpack_kernel "$tmp/kernel/vmlinuz" "$tmp/kernel/vmlinux"
  printf '%s\n' "$release" >"$tmp/kernel/release"
  mkdir -p "$LAB_CACHE/kernels"
  rm -rf "${LAB_CACHE:?}/kernels/$name"
  mv -T "$tmp/kernel" "$LAB_CACHE/kernels/$name"
  rm -rf "$tmp"
}

lab_kernel_image() { printf '%s\n' "$LAB_CACHE/kernels/$1/vmlinuz"; }

# Starts without a real-mode part and a decompressor, which take more than a second under emulation.
lab_kernel_elf() { printf '%s\n' "$LAB_CACHE/kernels/$1/vmlinux"; }

lab_kernel_release() { cat "$LAB_CACHE/kernels/$1/release"; }

lab_kernel_modules() { printf '%s\n' "$LAB_CACHE/kernels/$1/lib/modules/$(lab_kernel_release "$1")"; }

# Prints the files that loading MODULE takes, dependencies first; nothing if it is built in; fails if there is none.
lab_module_files() {
  local kernel=$1 module=$2 lines
  lines=$(modprobe -d "$LAB_CACHE/kernels/$kernel" -S "$(lab_kernel_release "$kernel")" \
    -C /dev/null --show-depends "$module" 2>/dev/null) || return 1
  awk '$1 == "insmod" { print $2 }' <<<"$lines"
}

# lab_copy_modules KERNEL ROOT MODULE…: copies modules with their dependencies, uncompressed (busybox modprobe cannot
# unpack), runs depmod for them, and prints the names that this kernel does not have.
lab_copy_modules() {
  local kernel=$1 root=$2 release base module file target
  shift 2
  release=$(lab_kernel_release "$kernel")
  base=$LAB_CACHE/kernels/$kernel
  for module in "$@"; do
    if ! lab_module_files "$kernel" "$module" >"$root/.files"; then
      printf '%s\n' "$module"
      continue
    fi
    while read -r file; do
      target=$root/${file#"$base"/}
      target=${target%.xz}
      [[ -e $target ]] && continue
      mkdir -p "${target%/*}"
      case $file in
        *.xz) xz -dc "$file" >"$target" ;;
        *) cp "$file" "$target" ;;
      esac
    done <"$root/.files"
  done
  rm -f "$root/.files"
  mkdir -p "$root/lib/modules/$release"
  cp "$base/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$release/"
  depmod -b "$root" "$release"
  rm -f "$root/lib/modules/$release"/modules.{order,builtin.modinfo} "$root/lib/modules/$release"/*.bin
}

# lab_pack_cpio ROOT FILE: the same tree gives the same bytes.
lab_pack_cpio() {
  find "$1" -exec touch -h -d @0 {} +
  (cd "$1" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort \
    | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -n -6 >"$2"
}
