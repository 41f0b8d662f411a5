# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the lab tests share outside the lab host: places, kernels and guest images. Sourced.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cd "$REPO" || exit 1
LAB_TEST_NAME=$(basename "$0" .sh)
# Exported as LAB_*: scripts/lab hands these on to what runs inside.
export LAB_GPUVM=${LAB_GPUVM:-$REPO/build/release/gpuvm}
[[ -x $LAB_GPUVM ]] || { echo "$LAB_GPUVM is missing; build it: cmake --preset release && cmake --build --preset release" >&2; exit 1; }

# image_for KERNEL [MODULES]: prints the guest image, built once per kernel, modules and change of its sources.
image_for() {
  local image=$REPO/build/lab/test-guest-$1${2+-${2:-plain}}.cpio.gz
  if [[ ! -s $image || scripts/guest-image -nt $image || tests/lab/guest/init -nt $image ]]; then
    scripts/guest-image --kernel "$1" --out "$image" ${2+--modules "$2"} >&2
  fi
  echo "$image"
}

# use_kernel NAME: sets LAB_GUEST_KERNEL, LAB_GUEST_INITRD, and LAB_PLAIN_INITRD, which has no modules.
use_kernel() {
  LAB_GUEST_KERNEL=$(scripts/lab --print-kernel "$1")
  LAB_GUEST_INITRD=$(image_for "$1")
  LAB_PLAIN_INITRD=$(image_for "$1" '')
  export LAB_GUEST_KERNEL LAB_GUEST_INITRD LAB_PLAIN_INITRD
}

# A directory for the results of this test, emptied.
fresh_out() {
  OUT=$REPO/build/lab/test/$LAB_TEST_NAME${1:+-$1}
  rm -rf "$OUT"
  mkdir -p "$OUT"
}

# inside DEVICES SCRIPT [LAB OPTION…]: runs tests/lab/inside/SCRIPT in a lab host with these devices; what it prints is in $OUT/output, too.
inside() {
  local devices=$1 script=$2
  shift 2
  scripts/lab --devices "$devices" --out "$OUT" --timeout 900 "$@" -- "tests/lab/inside/$script" | tee "$OUT/output"
}

# optional OPTION [NAME]: sets OPTIONAL to what scripts/lab prints for it, such as the path of a kernel of another Debian release.
# Fails where Debian's mirror does not have it, and then OPTIONAL is what scripts/lab said of that.
optional() {
  local status=0
  OPTIONAL=$(scripts/lab "$@" 2>"$OUT/optional.log") || status=$?
  cat "$OUT/optional.log" >&2
  ((status != 0)) || return 0
  ((status == 3)) || exit 1
  OPTIONAL=$(tail -n 1 "$OUT/optional.log")
  return 1
}

# skip REASON: ends the test; scripts/test counts it as skipped and tells the reason.
skip() {
  echo "skipped: $1"
  exit 77
}
