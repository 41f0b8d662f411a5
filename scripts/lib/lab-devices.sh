# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2054
# The devices of the lab host that stand in for real ones. Every role has its own root port, always created, so that its
# bus number does not depend on what else was asked for. Sourced, never run.

# role = bus number in the lab host
LAB_ROLES=(gpu usb vgpu nvme bar edu gpu2)
LAB_USB_MIB=8
LAB_NVME_MIB=1024

# 4G -> 4294967296
lab_bytes() {
  local number=${1%[KMGkmg]}
  [[ $number =~ ^[0-9]+$ ]] || return 1
  case $1 in
    *[Kk]) echo $((number << 10)) ;;
    *[Mm]) echo $((number << 20)) ;;
    *[Gg]) echo $((number << 30)) ;;
    *) echo "$number" ;;
  esac
}

# lab_parse_devices LIST: fills LAB_DEVICES (an array of roles), LAB_BAR_BYTES and LAB_DEAF_PORT, 1 if the port of vgl is deaf.
lab_parse_devices() {
  local item
  local -a items
  LAB_DEVICES=()
  LAB_BAR_BYTES=0
  LAB_DEAF_PORT=0
  IFS=, read -r -a items <<<"$1"
  for item in "${items[@]}"; do
    case $item in
      gpu | usb | vgpu | vgl | nvme | edu | gpu2) LAB_DEVICES+=("$item") ;;
      vgl=deaf) LAB_DEVICES+=(vgl) LAB_DEAF_PORT=1 ;;
      bar=*)
        LAB_BAR_BYTES=$(lab_bytes "${item#bar=}") || lab_die "--devices: '$item' is not a size; write bar=256M or bar=4G"
        (((LAB_BAR_BYTES & (LAB_BAR_BYTES - 1)) == 0 && LAB_BAR_BYTES >= 1 << 20)) \
          || lab_die "--devices: $item: a BAR is a power of two and at least 1M"
        LAB_DEVICES+=(bar)
        ;;
      none) ;;
      *) lab_die "--devices: unknown device '$item'; choose from gpu,usb,vgpu,vgl,nvme,bar=SIZE,edu,gpu2 or none" ;;
    esac
  done
  ! { lab_has_device vgpu && lab_has_device vgl; } || lab_die "--devices: vgpu and vgl have the same address; choose one of them"
}

lab_has_device() { [[ " ${LAB_DEVICES[*]} " == *" $1 "* ]]; }

# A comma ends a value in QEMU's options; two of them are one in a path.
lab_qemu_path() { printf '%s' "${1//,/,,}"; }

# Sectors of the USB stick say which they are, so that a test can compare what the guest read.
lab_usb_pattern() {
  awk -v sectors=$((LAB_USB_MIB * 2048)) 'BEGIN {
    for (i = 0; i < sectors; i++) printf "GPUVM-LAB-USB sector %08d%-482s\n", i, ""
  }'
}

# Backing files in $LAB_OUT, fresh for every run.
lab_make_backing_files() {
  local out=$1
  if lab_has_device usb; then
    rm -f "$out/usb.img"
    lab_usb_pattern >"$out/usb.img"
  fi
  if lab_has_device nvme; then
    rm -f "$out/nvme.img"
    truncate -s "${LAB_NVME_MIB}M" "$out/nvme.img"
  fi
  if lab_has_device bar; then
    rm -f "$out/bar.mem"
    truncate -s "$LAB_BAR_BYTES" "$out/bar.mem"
  fi
}

# Appends the root ports to QEMU_ARGS: role N of LAB_ROLES is bus N.
lab_add_root_ports() {
  local role port number=0
  for role in "${LAB_ROLES[@]}"; do
    number=$((number + 1))
    port="pcie-root-port,id=rp.$role,bus=pcie.0,addr=$(printf '0x%x' $((number + 1))).0,chassis=$number,slot=$number"
    # Of a port faster than 5 GT/s Linux wants to see the link come back after a bus reset, which the emulated one does not tell.
    [[ $role == vgpu && $LAB_DEAF_PORT == 1 ]] || port+=",x-speed=5"
    if [[ $role == bar ]] && lab_has_device bar; then
      # Room for the large BAR above 4 GiB, twice its size because of its alignment.
      port+=",pref64-reserve=$((LAB_BAR_BYTES * 2))"
    fi
    QEMU_ARGS+=(-device "$port")
  done
}

lab_add_device() {
  local out
  out=$(lab_qemu_path "$LAB_OUT_DIR")
  case $1 in
    gpu)
      QEMU_ARGS+=(-device VGA,id=gpu,bus=rp.gpu,addr=0.0,multifunction=on
        -device intel-hda,id=gpu-audio,bus=rp.gpu,addr=0.1
        -audiodev none,id=silence -device hda-output,bus=gpu-audio.0,audiodev=silence)
      ;;
    usb)
      QEMU_ARGS+=(-device nec-usb-xhci,id=xhci,bus=rp.usb -device usb-kbd,bus=xhci.0
        -drive "if=none,id=stick,format=raw,file=$out/usb.img" -device usb-storage,bus=xhci.0,drive=stick)
      ;;
    vgpu) QEMU_ARGS+=(-device virtio-gpu-pci,id=vgpu,bus=rp.vgpu,iommu_platform=on) ;;
    vgl) QEMU_ARGS+=(-device virtio-gpu-gl-pci,id=vgl,bus=rp.vgpu,iommu_platform=on) ;;
    nvme)
      QEMU_ARGS+=(-drive "if=none,id=ssd,format=raw,discard=unmap,file=$out/nvme.img"
        -device nvme,id=nvme,bus=rp.nvme,serial=gpuvm-lab,drive=ssd)
      ;;
    bar)
      QEMU_ARGS+=(-object "memory-backend-file,id=vram,share=on,size=$LAB_BAR_BYTES,mem-path=$out/bar.mem"
        -device ivshmem-plain,id=bar,bus=rp.bar,memdev=vram)
      ;;
    edu) QEMU_ARGS+=(-device edu,id=edu,bus=rp.edu,dma_mask=0xffffffffffffffff) ;;
    gpu2) QEMU_ARGS+=(-device secondary-vga,id=gpu2,bus=rp.gpu2) ;;
  esac
}

lab_add_devices() {
  local role
  lab_add_root_ports
  for role in "${LAB_DEVICES[@]}"; do
    lab_add_device "$role"
  done
}
