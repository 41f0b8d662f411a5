# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What scripts/demo, scripts/test and scripts/bench share: stages with elapsed time, build packages, the build. Sourced.

GPUVM_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
GPUVM_LOG=$GPUVM_REPO/build/log
GPUVM_BUILD_PACKAGES=(
  g++ cmake ninja-build pkg-config linux-libc-dev libboost-dev libspdlog-dev libfmt-dev libtomlplusplus-dev libcli11-dev
  libfdt-dev libyaml-dev liburing-dev libre2-dev nlohmann-json3-dev libpugixml-dev libsystemd-dev zlib1g-dev liblzma-dev libzstd-dev
  liblz4-dev libseccomp-dev
)
GPUVM_TEST_PACKAGES=(
  libgtest-dev libgmock-dev acpica-tools pciutils dmidecode device-tree-compiler shellcheck clang-format clang-tidy clang
  libclang-rt-dev scdoc netpbm perl libfdt1 efibootmgr efivar lld fdisk dosfstools mtools xorriso systemd-boot-efi passt
  qemu-system-common qemu-utils dbus dbus-daemon systemd systemd-container udev mmdebstrap openssh-client fio dmsetup libxml2-utils jq
  python3-jsonschema slurmctld slurmd munge valgrind libbenchmark-dev strace
)

# Colour for terminals only, and not where NO_COLOR (no-color.org) is set.
GPUVM_BOLD='' GPUVM_PLAIN=''
if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  GPUVM_BOLD=$'\033[1m' GPUVM_PLAIN=$'\033[0m'
fi

# One line a stage, on stderr, with the seconds since the script started.
stage() {
  printf '%s[%4d s]%s %s\n' "$GPUVM_BOLD" "$SECONDS" "$GPUVM_PLAIN" "$1" >&2
}

die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# quietly NAME COMMAND…: output goes to build/log/NAME.log; its end is shown if the command fails.
quietly() {
  local log=$GPUVM_LOG/$1.log
  shift
  mkdir -p "$GPUVM_LOG"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    printf 'failed: %s (the whole output: %s)\n' "$*" "$log" >&2
    return 1
  fi
}

apt_quietly() {
  DEBIAN_FRONTEND=noninteractive quietly apt apt-get -qq -o Acquire::Retries=3 "$@"
}

install_packages() {
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  [[ $(id -u) == 0 ]] || die "missing packages; as root: apt-get install ${missing[*]}"
  stage "installing ${missing[*]}"
  if ! apt_quietly install -y --no-install-recommends "${missing[@]}" 2>/dev/null; then
    apt_quietly update
    apt_quietly install -y --no-install-recommends "${missing[@]}"
  fi
}

# Where there is a ccache, it serves every checkout of the repository, whatever its folder is called; and with precompiled headers it
# must be told not to mind what they hide from it.
export CCACHE_BASEDIR=$GPUVM_REPO CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros

# configure_preset PRESET [OPTION…]. CMake forgets all settings when the compiler of an older build folder was another one: then twice.
configure_preset() {
  quietly "configure-$1" cmake --preset "$@"
  ! grep -q 'require your cache to be deleted' "$GPUVM_LOG/configure-$1.log" || quietly "configure-$1" cmake --preset "$@"
}

# build_preset PRESET [TARGET…]
build_preset() {
  local preset=$1
  shift
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  (cd "$GPUVM_REPO" \
    && configure_preset "$preset" "${launcher[@]}" \
    && quietly "build-$preset" cmake --build --preset "$preset" ${1:+--target "$@"})
}
