# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# OpenGL in the lab. The device vgl renders by virglrenderer, in a window of the lab's QEMU: what QEMU needs for that, beside it in
# build/lab/qemu, and a screen for the window. For guests, and for reference pictures, Mesa of this release, in build/lab/mesa.
# Sourced by scripts/lab.
#
# QEMU's display without a window (egl-headless) would need a DRM node, which a machine without a GPU does not have.

LAB_GL_QEMU_PACKAGES=(qemu-system-gui qemu-system-modules-opengl libgl1-mesa-dri libegl1)

# Xvfb, for the machine; its keyboard compiler lies at a fixed place.
lab_need_screen() {
  LAB_NEEDS+=(Xvfb=xvfb)
}

# Starts the screen and sets DISPLAY; it ends with this script.
lab_start_screen() {
  local number=''
  exec {LAB_SCREEN}< <(exec setpriv --pdeathsig KILL Xvfb -displayfd 1 -screen 0 1024x768x24 -nolisten tcp -noreset 2>"$LAB_RUN/xvfb.log")
  lab_helper_pids+=($!)
  read -r -t 60 number <&"$LAB_SCREEN" || true
  [[ -n $number ]] || lab_die "Xvfb does not start; see $LAB_RUN/xvfb.log" 1
  export DISPLAY=:$number
}

# lab_copy_mesa ALL ROOT: of the unpacked packages, what a program for EGL and OpenGL loads, with its own loader.
lab_copy_mesa() {
  local lib=$1/usr/lib/x86_64-linux-gnu root=$2 file
  mkdir -p "$root/lib/dri"
  cp "$1/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$root/lib/"
  cp "$lib"/dri/swrast_dri.so "$root/lib/dri/"
  # One driver with many names.
  ln "$root/lib/dri/swrast_dri.so" "$root/lib/dri/virtio_gpu_dri.so"
  for file in "$lib"/{libEGL.so.1,libEGL_mesa.so.0,libOpenGL.so.0} "$root/lib/dri/swrast_dri.so"; do
    [[ $file == "$root"/* ]] || cp -L "$file" "$root/lib/"
    "$root/lib/ld-linux-x86-64.so.2" --library-path "$lib:$1/lib/x86_64-linux-gnu" --list "$file" | grep -o "$1/[^ ]*" || true
  done | sort -u | while read -r file; do
    [[ -e $root/lib/${file##*/} ]] || cp -L "$file" "$root/lib/"
  done
  printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "libEGL_mesa.so.0"}}\n' >"$root/egl.json"
  cat >"$root/run" <<'END_OF_PROGRAM'
#!/bin/sh
# run PROGRAM [ARGUMENT]…: with the Mesa of this folder.
here=${0%/*}
export LIBGL_DRIVERS_PATH="$here/lib/dri" __EGL_VENDOR_LIBRARY_FILENAMES="$here/egl.json" MESA_SHADER_CACHE_DISABLE=true
exec "$here/lib/ld-linux-x86-64.so.2" --library-path "$here/lib" "$@"
END_OF_PROGRAM
  chmod 755 "$root/run"
}

# $LAB_CACHE/mesa: root, mesa.img with the same files, and include and lib for a compiler.
lab_get_mesa() {
  local tmp package
  [[ -e $LAB_CACHE/mesa/mesa.img ]] && return 0
  lab_stage "fetching Mesa"
  tmp=$(lab_tmp_dir)
  if ! lab_fetch_program bookworm "$tmp" libgl1-mesa-dri libegl-mesa0 libegl1 libopengl0 libegl-dev libopengl-dev; then
    rm -rf "$tmp"
    lab_die_absent Mesa bookworm
  fi
  for package in "$tmp"/cache/archives/*.deb; do
    dpkg -x "$package" "$tmp/all"
  done
  mkdir -p "$tmp/mesa/lib"
  mv "$tmp/all/usr/include" "$tmp/mesa/include"
  lab_copy_mesa "$tmp/all" "$tmp/mesa/root"
  ln -s ../root/lib/libEGL.so.1 "$tmp/mesa/lib/libEGL.so"
  ln -s ../root/lib/libOpenGL.so.0 "$tmp/mesa/lib/libOpenGL.so"
  lab_logged mesa mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$tmp/mesa/root" "$tmp/mesa/mesa.img" "$(($(du -sm "$tmp/mesa/root" | cut -f1) * 11 / 10 + 8))M"
  rm -rf "$LAB_CACHE/mesa"
  mv -T "$tmp/mesa" "$LAB_CACHE/mesa"
  rm -rf "$tmp"
}
