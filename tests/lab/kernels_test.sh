#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's kernels 6.1 and 6.12 drive the devices, 6.12-cloud (which has no drivers for them) sees them, and an ELF vmlinux
# boots like the bzImage that it came in.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

# payload_of BZIMAGE: its compressed kernel (Linux, Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset at
# 0x248, payload_length at 0x24c; the last four bytes of the payload are its size when unpacked).
payload_of() {
  local sectors offset length
  sectors=$(od -An -tu1 -j 497 -N 1 "$1")
  offset=$(od -An -tu4 -j 584 -N 4 "$1")
  length=$(od -An -tu4 -j 588 -N 4 "$1")
  tail -c +$(((sectors + 1) * 512 + offset + 1)) "$1" | head -c $((length - 4)) || true # head ends tail
}

# elf_of BZIMAGE ELF: the kernel in it, unpacked.
elf_of() {
  payload_of "$1" >"$2.payload"
  case $(head -c 4 "$2.payload" | od -An -tx1 | tr -d ' ') in
    28b52ffd) zstd -dcq "$2.payload" >"$2" ;;
    fd377a58) xz -dc "$2.payload" >"$2" ;;
    1f8b*) gzip -dc "$2.payload" >"$2" ;;
    *) echo "NOT OK: $1 is compressed in an unknown way" && exit 1 ;;
  esac
  [[ $(head -c 4 "$2" | tail -c 3) == ELF ]] || { echo "NOT OK: no ELF file in $1" && exit 1; }
}

fresh_out
for kernel in 6.1 6.12-cloud 6.12; do
  use_kernel "$kernel"
  printf '%s %s %s\n' "$kernel" "$LAB_GUEST_KERNEL" "$LAB_GUEST_INITRD" >>"$OUT/kernels"
done
elf_of "$LAB_GUEST_KERNEL" "$OUT/vmlinux"
printf 'vmlinux %s %s\n' "$OUT/vmlinux" "$LAB_GUEST_INITRD" >>"$OUT/kernels"
inside gpu,usb kernels.sh
rm -f "$OUT"/vmlinux*
