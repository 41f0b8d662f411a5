# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's own QEMU, of another Debian release, unpacked beside the system, and the plugins that mend it. Sourced by scripts/lab.
#
# QEMU 7.2 of Debian 12 loses interrupts and leaves rubbish in flags when it emulates a VFIO host; 10.0 of Debian 13 (trixie) does
# not, with the plugin. AMD's IOMMU remaps DMA from 10.2 on, which is in sid.

# lab_choose_qemu RELEASE: the one that the other functions are about, as the program $LAB_QEMU, with OpenGL if the device vgl is
# wanted; its plugins are $LAB_QEMU_PLUGIN and $LAB_GL_PLUGIN.
lab_choose_qemu() {
  case $1 in
    trixie) LAB_QEMU_PLUGIN_API=4 ;;
    sid) LAB_QEMU_PLUGIN_API=7 ;;
    *) lab_die "the lab's QEMU is Debian trixie's or sid's, not '$1'" ;;
  esac
  LAB_QEMU_RELEASE=$1
  LAB_QEMU_PACKAGES=(qemu-system-x86)
  LAB_QEMU=$LAB_CACHE/qemu/$1/qemu
  if lab_has_device vgl; then
    LAB_QEMU_PACKAGES+=("${LAB_GL_QEMU_PACKAGES[@]}")
    LAB_QEMU=$LAB_CACHE/qemu/$1-gl/qemu
  fi
  LAB_QEMU_PLUGIN=$LAB_CACHE/tools/lab-qemu-plugin-$1.so
  LAB_GL_PLUGIN=$LAB_CACHE/tools/lab-gl-plugin-$1.so
}

# lab_unpack_qemu DIR ROOT: of the packages in DIR, what QEMU is and loads.
lab_unpack_qemu() {
  local package all=$2.all usr=$2/usr
  for package in "$1"/*.deb; do
    dpkg -x "$package" "$all"
  done
  mkdir -p "$usr/bin" "$usr/lib" "$usr/share"
  mv "$all/usr/bin/qemu-system-x86_64" "$usr/bin/"
  mv "$all/usr/lib/x86_64-linux-gnu" "$usr/lib/"
  mv "$all"/usr/share/{qemu,seabios} "$usr/share/"
  [[ ! -e $all/usr/share/glvnd ]] || mv "$all/usr/share/glvnd" "$usr/share/"
  rm -rf "$usr"/lib/x86_64-linux-gnu/{gconv,perl*,systemd} "$all"
}

# The lab's QEMU with all of its libraries, as the program $LAB_QEMU.
lab_get_qemu() {
  local tmp
  [[ -x $LAB_QEMU ]] && return 0
  lab_stage "fetching QEMU of $LAB_QEMU_RELEASE: ${LAB_QEMU_PACKAGES[*]}"
  tmp=$(lab_tmp_dir)
  if ! lab_fetch_program "$LAB_QEMU_RELEASE" "$tmp" "${LAB_QEMU_PACKAGES[@]}"; then
    rm -rf "$tmp"
    lab_die_absent "the lab's QEMU" "$LAB_QEMU_RELEASE"
  fi
  lab_unpack_qemu "$tmp/cache/archives" "$tmp/qemu"
  cat >"$tmp/qemu/qemu" <<'END_OF_PROGRAM'
#!/bin/sh
# The loader brings QEMU's own C library along. The modules must be of the same build: the system's would end QEMU.
usr=$(dirname "$(readlink -f "$0")")/usr
lib=$usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$lib/qemu"
# For the device vgl: this tree's Mesa, in software.
export LIBGL_DRIVERS_PATH="$lib/dri" __EGL_VENDOR_LIBRARY_DIRS="$usr/share/glvnd/egl_vendor.d" LIBGL_ALWAYS_SOFTWARE=1
export GDK_BACKEND=x11 NO_AT_BRIDGE=1
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$usr/bin/qemu-system-x86_64" -L "$usr/share/qemu" -L "$usr/share/seabios" "$@"
END_OF_PROGRAM
  chmod 755 "$tmp/qemu/qemu"
  lab_logged qemu "$tmp/qemu/qemu" --version
  mkdir -p "$LAB_CACHE/qemu"
  rm -rf "${LAB_QEMU%/*}"
  mv -T "$tmp/qemu" "${LAB_QEMU%/*}"
  rm -rf "$tmp"
}

# The plugins that mend QEMU.
lab_build_qemu_plugins() {
  lab_build_qemu_plugin "$LAB_REPO/scripts/lib/lab-qemu-plugin.c" "$LAB_QEMU_PLUGIN"
  ! lab_has_device vgl || lab_build_qemu_plugin "$LAB_REPO/scripts/lib/lab-gl-plugin.c" "$LAB_GL_PLUGIN"
}

# lab_build_qemu_plugin SOURCE FILE
lab_build_qemu_plugin() {
  local tmp
  [[ $2 -nt $1 ]] && return 0
  tmp=$(lab_tmp_dir)
  lab_logged qemu-plugin cc -shared -fPIC -fvisibility=hidden -O2 -Wall -Wextra -Werror \
    "-DQEMU_PLUGIN_API=$LAB_QEMU_PLUGIN_API" -o "$tmp/plugin.so" "$1"
  mkdir -p "${2%/*}"
  mv "$tmp/plugin.so" "$2"
  rm -rf "$tmp"
}
