# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The disk of an image: a GPT (UEFI 2.10, 5.3) with an EFI system partition and a root file system, made without root. Sourced by
# scripts/make-image, whose options are variables here.

IMAGE_ESP_MIB=256
IMAGE_ESP_TYPE=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
# Root of x86-64, by the Discoverable Partitions Specification.
IMAGE_ROOT_TYPE=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
IMAGE_ROOT_MIB=$((1 + IMAGE_ESP_MIB))

# Of the disk, of the root's partition and file system, of the ESP's partition: random, or always the same for a SOURCE_DATE_EPOCH.
image_choose_ids() {
  local name
  image_ids=()
  for name in disk root file-system esp; do
    if [[ -n ${SOURCE_DATE_EPOCH:-} ]]; then
      image_ids+=("$(sha256sum <<<"gpuvm $name $SOURCE_DATE_EPOCH $hostname" \
        | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-8\3-8\4-\5/')") # RFC 9562: version 8, the maker's own way
    else
      image_ids+=("$(</proc/sys/kernel/random/uuid)")
    fi
  done
}

image_partition() {
  truncate -s "$size_bytes" "$disk"
  sfdisk -q "$disk" <<END || image_die "the disk could not be partitioned" 1
label: gpt
label-id: ${image_ids[0]}
start=1MiB, size=${IMAGE_ESP_MIB}MiB, type=$IMAGE_ESP_TYPE, uuid=${image_ids[3]}, name=ESP
start=${IMAGE_ROOT_MIB}MiB, type=$IMAGE_ROOT_TYPE, uuid=${image_ids[1]}, name=root
END
}

# mke2fs copies a folder with its owners, which only who owns all of them can see: root, or root of a user namespace, who may not
# write in our folders, but in a file that everybody may write. (Nodes of devices it cannot make; they are the kernel's.)
image_make_root() {
  local blocks
  blocks=$(($(sfdisk -q -l -o Sectors "$disk" | tail -n 1) / 8))
  export E2FSPROGS_FAKE_TIME=${SOURCE_DATE_EPOCH:-}
  [[ -n $E2FSPROGS_FAKE_TIME ]] || unset E2FSPROGS_FAKE_TIME
  truncate -s $((blocks * 4096)) "$work/root.img"
  chmod 666 "$work/root.img"
  # shellcheck disable=SC2016 # the inner shell's
  image_as_root sh -c 'set -e
    root=$(mktemp -d)
    trap "rm -rf \"$root\"" EXIT
    tar -C "$root" -x --numeric-owner --exclude="./dev/*" -f -
    mke2fs -q -F -t ext4 -b 4096 -L root -m 1 -U "$1" -E hash_seed="$1",root_owner=0:0,lazy_itable_init=0 -d "$root" "$2" "$3"' \
    image "${image_ids[2]}" "$work/root.img" "$blocks" <"$work/system.tar" || return 1
  [[ -z ${SOURCE_DATE_EPOCH:-} ]] || image_settle_times
  dd if="$work/root.img" of="$disk" bs=1M seek="$IMAGE_ROOT_MIB" conv=notrunc,sparse status=none
}

# Two times of a file cannot be chosen when it is made, and mke2fs copies them.
image_settle_times() {
  dumpe2fs -h "$work/root.img" 2>/dev/null | awk -F: -v time="$SOURCE_DATE_EPOCH" '
    $1 == "Inode count" { count = $2 } $1 == "Free inodes" { count -= $2 }
    END { for (inode = 1; inode <= count; inode++)
            printf "set_inode_field <%d> atime @%d\nset_inode_field <%d> ctime @%d\n", inode, time, inode, time }' >"$work/times"
  debugfs -w -f "$work/times" "$work/root.img" >/dev/null 2>&1
}

# image_take FILE TARGET: a file of the root file system.
image_take() {
  debugfs -R "dump \"$1\" \"$2\"" "$work/root.img" 2>/dev/null
  [[ -s $2 ]] || image_die "there is no $1 in the new system" 1
}

image_kernel_release() {
  debugfs -R 'ls -p /boot' "$work/root.img" 2>/dev/null | sed -n 's|^/[^/]*/[^/]*/[^/]*/[^/]*/vmlinuz-\([^/]*\)/.*|\1|p' | sort -V | tail -n 1
}

image_fill_esp() {
  local release tree=$work/esp
  image_stage "writing the EFI system partition"
  release=$(image_kernel_release)
  [[ -n $release ]] || image_die "the package $kernel has brought no /boot/vmlinuz-*" 1
  image_cmdline="root=PARTUUID=${image_ids[1]} rw console=tty0 console=ttyS0${cmdline:+ $cmdline}"
  mkdir -p "$tree/EFI/BOOT" "$tree/loader/entries"
  image_take "/boot/vmlinuz-$release" "$tree/vmlinuz"
  image_take "/boot/initrd.img-$release" "$tree/initrd.img"
  image_take /usr/lib/systemd/boot/efi/systemd-bootx64.efi "$tree/EFI/BOOT/BOOTX64.EFI"
  printf 'timeout 0\n' >"$tree/loader/loader.conf"
  printf 'title Debian %s\nlinux /vmlinuz\ninitrd /initrd.img\noptions %s\n' "$suite" "$image_cmdline" >"$tree/loader/entries/debian.conf"
  truncate -s "${IMAGE_ESP_MIB}M" "$work/esp.img"
  mkfs.vfat -n ESP -i "$(cut -c 1-8 <<<"${image_ids[3]}")" ${SOURCE_DATE_EPOCH:+--invariant} "$work/esp.img" >/dev/null
  [[ -z ${SOURCE_DATE_EPOCH:-} ]] || find "$tree" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
  mcopy -s -m -i "$work/esp.img" "$tree"/* :: || image_die "the EFI system partition could not be filled" 1
  dd if="$work/esp.img" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
}

# Beside the image, for the modes in which gpuvm loads the kernel by itself.
image_put_kernel_out() {
  local file
  mkdir -p "$kernel_dir"
  printf '%s\n' "$image_cmdline" >"$work/esp/cmdline"
  for file in vmlinuz initrd.img cmdline; do
    cp "$work/esp/$file" "$kernel_dir/$file.tmp"
    mv "$kernel_dir/$file.tmp" "$kernel_dir/$file"
  done
}
