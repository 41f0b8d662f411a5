#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests as services of a real systemd, which the lab host runs beside its own init: readiness, status, watchdog, more time, the journal,
# machinectl, exit statuses that are not started again; and a guest of an unprivileged member of the group on a bound device.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for program in /usr/lib/qemu/virtiofsd /usr/bin/qemu-storage-daemon /usr/bin/passt /lib/systemd/systemd /lib/systemd/systemd-machined /usr/bin/dbus-daemon /usr/bin/udevadm; do
  [[ -x $program ]] \
    || { echo "$program is missing; install as root: apt-get install systemd systemd-container dbus dbus-daemon udev passt qemu-system-common" >&2; exit 1; }
done
use_kernel 6.12
LAB_SERVICE_INITRD=$(image_for 6.12 virtio_pci,virtio_console,virtio_net,virtiofs,button,evdev)
export LAB_SERVICE_INITRD
fresh_out
inside edu,nvme service.sh
