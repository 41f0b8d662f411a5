# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Test drivers for guests: kernel modules built against Debian's packaged headers, which are unpacked under
# build/lab/kernels/NAME/headers, never installed. Sourced, never run.

lab_get_headers() {
  local name=$1 base=$LAB_CACHE/kernels/$1 release version tmp package
  [[ -e $base/headers/complete ]] && return 0
  lab_get_kernel "$name"
  release=$(lab_kernel_release "$name")
  version=${release%-*}
  version=${version%-cloud}
  lab_stage "fetching the headers of kernel $name"
  tmp=$(lab_tmp_dir)
  for package in "linux-headers-$release" "linux-headers-$version-common" "linux-kbuild-$version"; do
    lab_unpack_package "$package" "$tmp/headers"
  done
  # The package expects to be installed.
  sed -i "s|/usr/src/|$base/headers/usr/src/|g" "$tmp/headers/usr/src/linux-headers-$release/Makefile"
  touch "$tmp/headers/complete"
  rm -rf "$base/headers"
  mv -T "$tmp/headers" "$base/headers"
  rm -rf "$tmp"
}

# lab_build_module KERNEL DIR: builds the module in DIR (a Makefile with obj-m) as build/lab/modules/KERNEL/DIR's name/*.ko.
lab_build_module() {
  local kernel=$1 source=$2 out
  lab_get_headers "$kernel"
  out=$LAB_CACHE/modules/$kernel/${source##*/}
  mkdir -p "$out"
  cp -p "$source"/* "$out/"
  # Type information for BPF, which takes pahole, is nothing that a test driver needs.
  lab_logged "module-${source##*/}" \
    make -C "$LAB_CACHE/kernels/$kernel/headers/usr/src/linux-headers-$(lab_kernel_release "$kernel")" \
    CONFIG_DEBUG_INFO_BTF_MODULES= M="$out" modules
}
