# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the lab tests of work on a passed-through GPU share. Sourced: outside the lab host after outside.sh (prepare_gpu_work,
# check_results), inside it after inside.sh (the others).

# Sets LAB_MESA, LAB_GPU_WORK (the program) and LAB_WORK_INITRD, and makes the reference results, in software, in $OUT/reference.
prepare_gpu_work() {
  use_kernel 6.12
  LAB_WORK_INITRD=$(image_for 6.12 virtio_pci,virtio_blk,ext4,virtiofs,virtio_gpu)
  LAB_MESA=$(scripts/lab --print-mesa)
  LAB_GPU_WORK=$OUT/gpu_work
  export LAB_WORK_INITRD LAB_MESA LAB_GPU_WORK
  # What the libraries need lies in root/lib, where a compiler does not look.
  cc -O1 -Wall -Wextra -Werror -I "$LAB_MESA/include" -o "$LAB_GPU_WORK" tests/lab/guest/gpu_work/*.c \
    -L "$LAB_MESA/lib" -Wl,--unresolved-symbols=ignore-in-shared-libs -lOpenGL -lEGL -lm
  mkdir "$OUT/reference"
  "$LAB_MESA/root/run" "$LAB_GPU_WORK" software "$OUT/reference" | tee "$OUT/reference/said"
  grep -q '^RENDERER llvmpipe' "$OUT/reference/said"
}

# check_results COUNT: the guest's $OUT/results/lifeN are so many; numbers equal the reference's, no colour of a pixel differs by
# more than 2 of 255.
check_results() {
  local life failed=0 count=0
  for life in "$OUT"/results/life*; do
    count=$((count + 1))
    cmp "$life/numbers" "$OUT/reference/numbers" || failed=1
    pngtopnm "$life/picture.png" | ppmtoppm >"$life/picture.ppm"
    tests/lab/lib/compare_pictures.sh "$life/picture.ppm" "$OUT/reference/picture.png" 2 0 || failed=1
    rm "$life/picture.ppm"
  done
  [[ $failed == 0 && $count == "$1" ]] && echo "ok: numbers and pictures of $count guests are the reference's" && return 0
  echo "NOT OK: numbers or pictures of $count guests, not $1, or they are not the reference's"
  return 1
}

# make_work_guest NAME: with the function 0000:03:00.0, Mesa and a shared folder for results; it takes the words work, render, log,
# reboot and off. The folder is empty at first; each life of the guest that works makes one in it.
make_work_guest() {
  mkdir -p "$WORK/initrd-$1/bin"
  cp "$LAB_GPU_WORK" "$WORK/initrd-$1/bin/"
  mkdir "$WORK/results"
  # shellcheck disable=SC2016
  GUEST_INITRD=$LAB_WORK_INITRD make_guest "$1" '
until_true 60 test -c /dev/dri/renderD128
until_true 60 test -b /dev/vda
mkdir /mesa /results
mount -t ext4 -o ro /dev/vda /mesa
mount -t virtiofs results /results
work() {
  life=$(($(ls /results | grep -c life) + 1))
  mkdir "/results/life$life"
  /mesa/run /bin/gpu_work /dev/dri/renderD128 "/results/life$life" && echo "WORKED $life"
}
echo READY
while read -r word; do
  case $word in
    work) work ;;
    render) /mesa/run /bin/gpu_work /dev/dri/renderD128 & ;;
    log) show_dmesg ;;
    reboot) reboot -f ;;
    *) exit ;;
  esac
done
' <<END
[[pci]]
host = "0000:03:00.0"
[[disk]]
path = "$LAB_MESA/mesa.img"
readonly = true
[[share]]
path = "$WORK/results"
tag = "results"
END
}

# start_rendering [TIMES]: for the TIMESth time on this console, until the guest has drawn eight frames and computed once. The
# first time in a boot takes long: Mesa is large.
start_rendering() {
  type_line render
  wait_console '^FRAMES 8\b' 300 "${1:-1}"
}

copy_results() {
  cp -r "$WORK"/results/. "$LAB_OUT/results/"
}

# seconds_since TIME: with TIME as $EPOCHREALTIME was.
seconds_since() {
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}
