# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the lab host needs beside its kernel: the initramfs with the first stage and the keeper. It is cached under a name
# that follows from what it is made of. Sourced by scripts/lab.

# What every run loads; other modules come from the cache below build/ with modprobe in the lab host.
LAB_HOST_MODULES=(virtio_pci virtio_console 9pnet_virtio 9p overlay vfio_iommu_type1 vfio_pci kvm_amd kvm_intel)

lab_host_initramfs() {
  local key
  key=$(cat "$LAB_REPO/tests/lab/host/initramfs-init" "$LAB_REPO/scripts/lib/lab-image.sh" \
    "$LAB_REPO/tests/lab/host/keeper.c" "$LAB_CACHE/kernels/6.12/release" | sha256sum)
  printf '%s\n' "$LAB_CACHE/images/host-${key:0:16}.cpio.gz"
}

lab_build_host_initramfs() {
  local image tmp missing applet
  image=$(lab_host_initramfs)
  [[ -e $image ]] && return 0
  lab_stage "building the lab host's initramfs"
  tmp=$(lab_tmp_dir)
  mkdir -p "$tmp/root/bin" "$LAB_CACHE/images"
  cp "$LAB_CACHE/tools/busybox" "$tmp/root/bin/busybox"
  for applet in sh mount mkdir modprobe cat grep ln usleep uname ip hostname switch_root poweroff; do
    ln -s busybox "$tmp/root/bin/$applet"
  done
  lab_logged keeper cc -static -O1 -Wall -Werror -o "$tmp/root/bin/keeper" "$LAB_REPO/tests/lab/host/keeper.c"
  cp "$LAB_REPO/tests/lab/host/initramfs-init" "$tmp/root/init"
  chmod 755 "$tmp/root/init"
  missing=$(lab_copy_modules 6.12 "$tmp/root" "${LAB_HOST_MODULES[@]}")
  [[ -z $missing ]] || lab_die "the lab host's kernel has no module ${missing//$'\n'/, }" 1
  lab_pack_cpio "$tmp/root" "$tmp/image"
  rm -f "$LAB_CACHE"/images/host-*.cpio.gz
  mv "$tmp/image" "$image"
  rm -rf "$tmp"
}
