# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A systemd of the lab host, in a namespace of processes of its own: the lab host has another process 1. It has the host's files,
# devices and networks. Sourced by what runs inside, after inside.sh.

# Units of the machine that a lab host has no use for; each of them takes seconds under emulation.
SYSTEMD_MASKED=(systemd-udevd systemd-udev-trigger systemd-modules-load systemd-timesyncd systemd-resolved systemd-networkd systemd-logind
  systemd-hwdb-update systemd-update-utmp systemd-random-seed systemd-sysctl e2scrub_reap systemd-remount-fs systemd-boot-system-token
  systemd-binfmt systemd-sysusers systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-journal-flush systemd-pcrphase-sysinit
  systemd-firstboot systemd-machine-id-commit ldconfig apparmor)

# start_systemd: until it runs lab.target, with the journal and a system bus. $systemd is its process.
start_systemd() {
  local unit group=/sys/fs/cgroup/systemd-of-the-lab
  mountpoint -q /sys/fs/cgroup && umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p "$group" /etc/systemd/system
  for unit in "${SYSTEMD_MASKED[@]}"; do
    ln -sf /dev/null "/etc/systemd/system/$unit.service"
  done
  printf '[Unit]\nRequires=basic.target dbus.socket\nAfter=basic.target dbus.socket\n' >/etc/systemd/system/lab.target
  printf '%032x\n' 1 >/etc/machine-id
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --pid --mount --ipc --cgroup --fork --kill-child bash -c '
      mount --make-rprivate / && mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup
      export container=lab
      exec /lib/systemd/systemd --unit=lab.target --log-target=console --show-status=0' </dev/null >"$WORK/systemd.log" 2>&1
  ) &
  systemd_starter=$!
  local end=$((SECONDS + 120))
  until systemd=$(pgrep -P "$systemd_starter" 2>/dev/null) && in_systemd systemctl is-active --quiet lab.target 2>/dev/null; do
    ((SECONDS < end)) && is_running "$systemd_starter" || { echo 'systemd does not start'; cat "$WORK/systemd.log"; return 1; }
    pause 0.5
  done
}

# in_systemd COMMAND…: where systemctl and its like reach that systemd.
in_systemd() { nsenter --target "$systemd" --all --wd="$PWD" "$@"; }

# property UNIT NAME: one of systemctl show.
property() { in_systemd systemctl show --value --property="$2" "$1"; }

# wait_property UNIT NAME PATTERN SECONDS: until the property matches; the unit's journal where it does not.
wait_property() {
  local end=$((SECONDS + $4)) value
  until value=$(property "$1" "$2") && [[ $value =~ $3 ]]; do
    ((SECONDS < end)) || { echo "$2 of $1 is $value, not $3"; in_systemd journalctl --no-pager -n 20 -u "$1"; return 1; }
    pause 0.5
  done
}

# entries UNIT FIELD=VALUE…: messages of the unit's journal that have these fields.
entries() {
  in_systemd journalctl --sync
  in_systemd journalctl --no-pager --output=cat "_SYSTEMD_UNIT=$1" "${@:2}"
}

stop_systemd() {
  kill -9 "$systemd" 2>/dev/null || true
  wait "$systemd_starter" 2>/dev/null || true
}
