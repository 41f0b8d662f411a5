#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node: the configurations of configs/, unchanged but for the lab's sizes and addresses, and the Debian image of scripts/make-image.
. "$(dirname "$0")/../lib/inside.sh"

export XDG_STATE_HOME=$WORK/state # where the examples' ssh_key = "auto" has its key
BUSYBOX=$PWD/build/lab/tools/busybox
REBOOTS=${LAB_NODE_REBOOTS:-1}
# What an example says for a real machine and the lab has not.
LAB=(--set machine.memory=1GiB --set machine.cpus=1 --set 'cpu.hide=["xsave"]')
KERNEL=(--set "boot.cmdline=$LAB_NODE_CMDLINE")

# The files lie as the examples name them.
tar -C "$WORK" -xSf "$LAB_NODE/node.tar"
cp configs/compute-node.toml configs/render-node.toml "$WORK"
install -m 600 "$LAB_NODE/key" "$WORK/key"

# A bridge with a DHCP server, and an uplink with the default route, whose address passt gives to the guest.
make_networks() {
  modprobe -a tun bridge dummy vhost_net
  ip link set lo up
  ip link add br0 type bridge
  ip address add 10.9.0.1/24 dev br0
  ip link set br0 up
  ip link add uplink type dummy
  ip address add 192.0.2.9/24 dev uplink
  ip link set uplink up
  ip route add default via 192.0.2.1
  printf 'start 10.9.0.50\nend 10.9.0.50\ninterface br0\noption subnet 255.255.255.0\nlease_file %s\npidfile %s\n' \
    "$WORK/leases" "$WORK/udhcpd.pid" >"$WORK/udhcpd.conf"
  : >"$WORK/leases"
  "$BUSYBOX" udhcpd "$WORK/udhcpd.conf"
}

# in_guest COMMAND: by ssh, to $ADDRESS (HOST PORT).
in_guest() {
  # shellcheck disable=SC2086,SC2029 # two words; the command is the guest's
  set -- ${ADDRESS} "$1"
  timeout 120 ssh -q -i "$WORK/key" -p "$2" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=20 "root@$1" "$3"
}

# The server may come a moment after the login.
await_ssh() {
  local end=$((SECONDS + 180))
  until in_guest true; do
    ((SECONDS < end)) && is_running "$guest" || return 1
    pause 1
  done
}

guest_says() { in_guest "$1" | grep -q -- "$2"; }

# What a guest without a login was doing is in $LAB_OUT/node.journal.log.
tell_of_guest() {
  in_guest 'systemctl list-jobs; systemctl --failed; journalctl -b --no-pager -o short-monotonic' >"$WORK/node.journal.log" || true
  return 1
}

# await_login TIMES [NAME]: the prompt has come so many times.
await_login() {
  wait_console "^${2:-node} login:" 400 "$1" || tell_of_guest
  printf 'login %s after %s s\n' "$1" "$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", b - a }')"
}

# What a node must be able to do; $1 is when.
check_node() {
  expect "$1: ssh gets in" await_ssh
  expect "$1: all services have started" guest_says 'systemctl is-system-running --wait; systemctl --failed --no-legend' '^running'
  expect "$1: its name" guest_says hostname '^node$'
  expect "$1: the key of ssh_key is root's, beside that of the image" guest_says 'cat /run/gpuvm-ssh/root' "$(cat "$WORK/state/gpuvm/id_ed25519.pub")"
  expect "$1: an address by DHCP" guest_says 'ip -4 -o address show scope global' "$GUEST_ADDRESS"
  expect "$1: the root file system is the image's, and can be written to" guest_says 'echo here >/root/when && sync && findmnt -no SOURCE,OPTIONS /' '^/dev/vda2 *rw'
}

check_devices() {
  in_guest 'for d in /sys/bus/pci/devices/*; do echo "DRIVER $(cut -c3- $d/vendor):$(cut -c3- $d/device) $(basename "$(readlink $d/driver)")"; done' >"$WORK/drivers" || true
  expect "$1: the GPU has its driver" grep -q '^DRIVER 1234:1111 bochs-drm$' "$WORK/drivers"
  expect "$1: there is /dev/dri/card0" in_guest 'test -c /dev/dri/card0'
  [[ $2 == usb ]] || return 0
  expect "$1: the USB controller has its driver" grep -q '^DRIVER 1033:0194 xhci_hcd$' "$WORK/drivers"
  expect "$1: the USB stick's bytes are right" test \
    "$(in_guest 'udevadm wait --timeout 30 /dev/sda && head -c 1048576 /dev/sda | md5sum')" = "$(head -c 1048576 "$LAB_OUT/usb.img" | md5sum)"
}

# Powers off at one signal, with status 0, and leaves file systems that nothing has to be repaired of.
check_power_off() {
  local asked=$SECONDS
  kill "$guest"
  wait_guest 120
  printf 'powered off in %s s\n' $((SECONDS - asked))
  expect "SIGTERM: the guest powers off, status 0" test "$guest_status" = 0
  expect "its root file system was unmounted" not grep -q needs_recovery <(dumpe2fs -h "$WORK/node.img?offset=$((257 << 20))" 2>&1)
  expect "and is clean" grep -q 'Filesystem state: *clean$' <(dumpe2fs -h "$WORK/node.img?offset=$((257 << 20))" 2>&1)
  expect "what the guest wrote is there" test -n "$(debugfs -R 'cat /root/when' "$WORK/node.img?offset=$((257 << 20))" 2>/dev/null)"
}

# configs/compute-node.toml, with a USB controller, too.
test_compute() {
  local i
  ADDRESS='127.0.0.1 2222' GUEST_ADDRESS=192.0.2.9/24
  start_guest compute-node "${LAB[@]}" "${KERNEL[@]}" --set pci.1.host=0000:02:00.0
  await_login 1
  check_node "first boot"
  check_devices "first boot" usb
  expect "gpuvm ssh gets in with its own key" timeout 300 "$GPUVM" ssh --wait 120 compute-node -- true
  in_guest systemd-analyze || true
  for ((i = 1; i <= REBOOTS; i++)); do
    in_guest 'systemctl reboot' || true # which may end the connection first
    await_login $((i + 1))
    check_node "reboot $i"
    check_devices "reboot $i" usb
  done
  check_power_off
}

test_render() {
  . tests/lab/lib/uefi.sh
  ADDRESS='10.9.0.50 22' GUEST_ADDRESS=10.9.0.50/24
  start_guest render-node "${LAB[@]}"
  await_login 1
  check_node "by OVMF"
  check_devices "by OVMF" usb
  expect "it was started by firmware" in_guest 'test -d /sys/firmware/efi/efivars'
  expect "a new kernel gets to where the firmware looks" in_guest 'gpuvm-esp && mount -o ro /boot/efi && cmp /boot/efi/vmlinuz /boot/vmlinuz-*-amd64 && cmp /boot/efi/initrd.img /boot/initrd.img-* && umount /boot/efi'
  check_power_off
}

test_handover() {
  ADDRESS='127.0.0.1 2222' GUEST_ADDRESS=192.0.2.9/24
  start_guest compute-node "${LAB[@]}" "${KERNEL[@]}" --set boot.mode=efi-handover
  await_login 1
  check_node "by EFI handover"
  check_devices "by EFI handover" gpu
  expect "it was started by firmware" in_guest 'test -d /sys/firmware/efi'
  check_power_off
}

# What a guest is told at its first boot, and what it shares, with a disk whose changes are thrown away: configs/compute-node.toml
# with the sections that reference.toml has for that.
test_setup() {
  local image
  modprobe vhost_vsock
  image=$(stat -c '%y %b' "$WORK/node.img")
  mkdir "$WORK/results"
  echo "from the host" >"$WORK/results/host"
  printf '#cloud-config\nwrite_files:\n- path: /root/told\n  content: |\n    by user data\nruncmd:\n- [sh, -c, "echo ran >>/root/told"]\n' >"$WORK/user.yaml"
  start_guest compute-node "${LAB[@]}" "${KERNEL[@]}" --set disk.0.throwaway=true --set ssh_key=auto --set 'vsock.cid="auto"' \
    --set cloud_init.user_data=user.yaml --set credentials.test.greeting=hello \
    --set share.0.path=results --set share.0.tag=results --set "share.1={path='results',tag='readable',readonly=true}"
  await_login 1 compute-node # as cloud-init is told
  expect "gpuvm ssh gets in by itself, with a key of its own" timeout 300 "$GPUVM" ssh --wait 240 compute-node -- true
  expect "by the guest's vsock" grep -q vsock-connect <("$GPUVM" ssh --print compute-node)
  expect "its exit status is the command's" test "$(timeout 120 "$GPUVM" ssh compute-node -- exit 7 >/dev/null 2>&1; echo $?)" = 7
  expect "cloud-init has done what it was told" told cloud-init status --wait
  expect "a file of user data" says "$(printf 'by user data\nran')" cat /root/told
  expect "a credential" says hello systemd-creds --system cat test.greeting
  expect "a folder of the host" says "from the host" 'mount -t virtiofs results /mnt && cat /mnt/host'
  expect "what the guest writes there" told 'echo "from the guest" >/mnt/guest'
  expect "is the host's" test "$(cat "$WORK/results/guest")" = "from the guest"
  expect "a folder that it may only read" says "from the guest" 'mkdir -p /srv/r && mount -t virtiofs readable /srv/r && cat /srv/r/guest'
  expect_not "cannot be written to" told 'touch /srv/r/more'
  expect "its disk can be written to" told 'echo here >/root/when && sync'
  kill "$guest"
  wait_guest 120
  expect "SIGTERM: the guest powers off, status 0" test "$guest_status" = 0
  expect "the image is as it was" test "$(stat -c '%y %b' "$WORK/node.img")" = "$image"
  expect "without what the guest wrote" test -z "$(debugfs -R 'cat /root/when' "$WORK/node.img?offset=$((257 << 20))" 2>/dev/null)"
  expect_not "no virtiofsd or storage daemon is left" pgrep -f 'virtiofsd|qemu-storage-daemon'
}

# Jobs of GitLab's custom executor, each in a guest of its own that has the GPU: this plays the runner, and tests/cli/gitlab_test.sh
# all that may go wrong.
test_gitlab() {
  local image job settings=()
  modprobe vhost_vsock
  image=$(stat -c '%y %b' "$WORK/node.img")
  for job in "${LAB[@]}" "${KERNEL[@]}" --set disk.0.throwaway=true --set ssh_key=auto --set 'vsock.cid="auto"' --set test.pvpanic=true; do
    settings+=("$job")
  done
  export GPUVM_GITLAB_JOB CUSTOM_ENV_CI_JOB_ID=4711 BUILD_FAILURE_EXIT_CODE=41 SYSTEM_FAILURE_EXIT_CODE=42 BUILD_EXIT_CODE_FILE=$WORK/exit-code

  expect "config" gitlab 0 config
  GPUVM_GITLAB_JOB=$(sed -nE 's/.*"GPUVM_GITLAB_JOB": "([^"]*)".*/\1/p' "$WORK/stage.log")
  expect "prepare: the guest's sshd answers" gitlab 0 prepare --boot-timeout 900 "${settings[@]}" "$WORK/compute-node.toml"
  cat "$WORK/stage.log"
  expect "a script runs in the guest" script 0 'uname -n; [ -e /dev/vda2 ] && echo here >/root/when && sync'
  expect "with its own name" grep -qx node "$WORK/stage.log"
  expect "the guest has the GPU" script 0 'cat /sys/bus/pci/devices/*/vendor | grep -qx 0x1234'
  expect "a script that fails" script 41 'exit 7'
  expect "its exit status" test "$(cat "$WORK/exit-code")" = 7
  expect "what one leaves is there for the next" script 0 'grep -qx here /root/when'
  expect "cleanup" gitlab 0 cleanup
  expect "the devices were verified" grep -q 'functions of devices reset and verified' "$WORK/stage.log"
  expect "nothing is left of the job" test -z "$(ls /run/gpuvm/gitlab)"
  expect "the image is as it was" test "$(stat -c '%y %b' "$WORK/node.img")" = "$image"

  gitlab 0 config
  GPUVM_GITLAB_JOB=$(sed -nE 's/.*"GPUVM_GITLAB_JOB": "([^"]*)".*/\1/p' "$WORK/stage.log")
  expect "another job's guest" gitlab 0 prepare --boot-timeout 900 "${settings[@]}" "$WORK/compute-node.toml"
  expect "has nothing of the first one's" script 41 'test -e /root/when'
  expect "a job that ends its guest has failed" script 41 'systemctl poweroff --force --force'
  expect "why" grep -q 'The guest powered off before the job was over' "$WORK/stage.log"
  expect "cleanup of a guest that has ended" gitlab 0 cleanup
  expect "its devices were verified, too" grep -q 'functions of devices reset and verified' "$WORK/stage.log"
}

# gitlab STATUS STAGE ARGUMENT…, script STATUS TEXT: a stage ends with that status; what it says is in stage.log.
gitlab() {
  local status=0
  timeout 1200 "$GPUVM" gitlab-executor "${@:2}" >"$WORK/stage.log" 2>&1 </dev/null || status=$?
  ((status == $1)) || { printf 'status %s\n' "$status" && cat "$WORK/stage.log" && return 1; }
}
script() {
  printf '%s\n' "$2" >"$WORK/script"
  gitlab "$1" run "$WORK/script" step_script
}

# told COMMAND, says TEXT COMMAND: by gpuvm ssh.
told() { timeout 400 "$GPUVM" ssh compute-node -- "$*"; }
says() {
  local text=$1
  shift
  [[ $(told "$@") == "$text" ]]
}

make_networks
before=$(host_state)
"test_$LAB_NODE_TEST"
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
