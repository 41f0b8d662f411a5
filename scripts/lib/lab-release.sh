# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What comes from another Debian release than this machine's, unpacked beside the system: the lab's own QEMU, and firmware for tests.
# It is fetched from the mirror that apt uses for this release. Sourced by scripts/lab.

# QEMU 7.2 of Debian 12 loses interrupts and leaves rubbish in flags when it emulates a VFIO host; 10.0 of Debian 13 does not, with
# the plugin that is built below.
LAB_QEMU_RELEASE=trixie
LAB_QEMU=$LAB_CACHE/qemu/$LAB_QEMU_RELEASE/qemu
LAB_QEMU_PLUGIN=$LAB_CACHE/tools/lab-qemu-plugin.so

# Where apt finds this release.
lab_mirror() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' \
    | awk '$2 == "main" && !found++ { print $1 }'
}

# lab_open_release RELEASE DIR: fills LAB_RELEASE_APT with options that make apt see only that release, keep everything in DIR and
# think that no package is installed. Fails where the mirror has no such release.
lab_open_release() {
  local release=$1 dir=$2 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(lab_mirror)
  if [[ -z $mirror ]]; then
    lab_apt_update
    mirror=$(lab_mirror)
  fi
  [[ -n $mirror && -e $keyring ]] || return 1
  mkdir -p "$dir"/{lists,cache/archives}/partial
  : >"$dir/status"
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$release" >"$dir/sources.list"
  LAB_RELEASE_APT=(-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o APT::Default-Release= -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o Acquire::Languages=none
    -o "Dir::State::Lists=$dir/lists" -o "Dir::State::Status=$dir/status" -o "Dir::Cache=$dir/cache" -o Debug::NoLocking=true)
  lab_apt "${LAB_RELEASE_APT[@]}" update
}

# The firmware of another Debian release, unpacked as $LAB_CACHE/ovmf/RELEASE. Fails where there is none.
lab_get_ovmf() {
  local release=$1 tmp
  [[ -e $LAB_CACHE/ovmf/$release/OVMF_CODE_4M.fd ]] && return 0
  lab_stage "fetching ovmf of $release"
  tmp=$(lab_tmp_dir)
  if ! { lab_open_release "$release" "$tmp" && (cd "$tmp" && lab_apt "${LAB_RELEASE_APT[@]}" download ovmf); }; then
    rm -rf "$tmp"
    return 1
  fi
  # One by one: whoever calls this in a condition has switched set -e off.
  dpkg -x "$tmp"/ovmf_*.deb "$tmp/deb" || return 1
  mkdir -p "$LAB_CACHE/ovmf" || return 1
  mv -T "$tmp/deb/usr/share/OVMF" "$LAB_CACHE/ovmf/$release" || return 1
  rm -rf "$tmp"
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
  rm -rf "$usr"/lib/x86_64-linux-gnu/{gconv,perl*}
}

# The lab's QEMU with all of its libraries, as the program $LAB_QEMU.
lab_get_qemu() {
  local tmp
  [[ -x $LAB_QEMU ]] && return 0
  lab_stage "fetching QEMU of $LAB_QEMU_RELEASE"
  tmp=$(lab_tmp_dir)
  if ! { lab_open_release "$LAB_QEMU_RELEASE" "$tmp" \
    && lab_apt "${LAB_RELEASE_APT[@]}" install --download-only -y --no-install-recommends qemu-system-x86; }; then
    rm -rf "$tmp"
    lab_die "the lab's QEMU, Debian $LAB_QEMU_RELEASE's, cannot be fetched: apt's mirror of bookworm must carry $LAB_QEMU_RELEASE, too, \
and the package debian-archive-keyring be up to date; see $LAB_CACHE/log/apt.log" 1
  fi
  lab_unpack_qemu "$tmp/cache/archives" "$tmp/qemu"
  cat >"$tmp/qemu/qemu" <<'END_OF_PROGRAM'
#!/bin/sh
# The loader brings QEMU's own C library along. The modules must be of the same build: the system's would end QEMU.
usr=$(dirname "$(readlink -f "$0")")/usr
lib=$usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$lib/qemu"
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$usr/bin/qemu-system-x86_64" -L "$usr/share/qemu" -L "$usr/share/seabios" "$@"
END_OF_PROGRAM
  chmod 755 "$tmp/qemu/qemu"
  lab_logged qemu "$tmp/qemu/qemu" --version
  mkdir -p "$LAB_CACHE/qemu"
  rm -rf "${LAB_QEMU%/*}"
  mv -T "$tmp/qemu" "${LAB_QEMU%/*}"
  rm -rf "$tmp"
}

# The plugin that mends QEMU; as $LAB_QEMU_PLUGIN.
lab_build_qemu_plugin() {
  local source=$LAB_REPO/scripts/lib/lab-qemu-plugin.c tmp
  [[ $LAB_QEMU_PLUGIN -nt $source ]] && return 0
  tmp=$(lab_tmp_dir)
  lab_logged qemu-plugin cc -shared -fPIC -fvisibility=hidden -O2 -Wall -Wextra -Werror -o "$tmp/plugin.so" "$source"
  mkdir -p "${LAB_QEMU_PLUGIN%/*}"
  mv "$tmp/plugin.so" "$LAB_QEMU_PLUGIN"
  rm -rf "$tmp"
}
