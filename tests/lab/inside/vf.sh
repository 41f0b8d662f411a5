#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

PF=0000:06:00.0
PF_SYSFS=/sys/bus/pci/devices/$PF
TOKEN=14d63f20-8445-11ea-8900-1f9ce7d5650d
vf=

# make_virtual COUNT: the last run's are gone first; $vf is the first new one.
make_virtual() {
  echo 0 >$PF_SYSFS/sriov_numvfs
  echo "$1" >$PF_SYSFS/sriov_numvfs
  vf=$(basename "$(readlink $PF_SYSFS/virtfn0)")
}

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
# configure NAME LINES: a guest that tells what it sees of the virtual function.
configure() {
  make_guest "$1" '
for device in 0000:00:01.0 0000:01:00.0; do
  cd /sys/bus/pci/devices/$device
  echo "SEEN $device $(cat vendor) $(cat device), $(cat current_link_speed) x$(cat current_link_width)"
done
' <<<"$2"
}

modprobe igb
expect "the card's physical function has its host driver" test "$(driver_of $PF)" = igb
make_virtual 2
link="$(cat $PF_SYSFS/current_link_speed) x$(cat $PF_SYSFS/current_link_width)"
echo "virtual function $vf (driver $(driver_of "$vf")) of $PF, whose link is $link"
expect "the registers of a virtual function have no ids" test "$(setpci -s "$vf" 0.L)" = ffffffff

before=$(host_state)
configure vf "[[pci]]
host = \"$vf\""
expect "a dry run is well" "$GPUVM" run --dry-run "$WORK/vf.toml"
run_guest vf
expect "the guest ends with status 0" test "$guest_status" = 0
expect "the guest sees the ids that the host's kernel knows" guest_said '^SEEN 0000:01:00.0 0x8086 0x10ca,'
expect "the virtual function's link is the card's" guest_said "^SEEN 0000:01:00.0 .*, $link"
expect "and so is the port's" guest_said "^SEEN 0000:00:01.0 .*, $link"
expect "everything is as before" state_is "$before"

# A token where the kernel takes none.
refuses_to_run vf "a token that nobody wants" 'remove vf_token' --set "pci.0.vf_token=\"$TOKEN\""
expect "a token that nobody wants: everything is as before" state_is "$before"

# The administrator takes the virtual functions away, while a guest has one.
make_guest stay 'echo STAYING; read -r word' <<<"[[pci]]
host = \"$vf\""
start_guest stay
wait_console STAYING 300
echo 0 >$PF_SYSFS/sriov_numvfs & # waits until VFIO has let go
removal=$!
wait_log "The host wants $vf back" 60
kill "$guest"
wait_guest 60
wait "$removal"
expect "a virtual function is wanted back: the guest ends" test "$guest_status" -ne 0
expect_not "a virtual function is wanted back: it is gone" test -e /sys/bus/pci/devices/"$vf"
# The kernel resets no function that it removes. What was not reset is marked until it was, here by the run with the right token.
expect "a virtual function is wanted back: it is marked as not reset" grep -q '^dirty=.*did not come back' "/run/gpuvm/$vf.state"
before=$(host_state)
refuses_to_run vf "a virtual function that is gone" "$vf is not there"
expect "a virtual function that is gone: everything is as before" state_is "$before"

# VFIO has the physical function; who opens it first sets the token.
modprobe vfio-pci
echo 1 >/sys/module/vfio_pci/parameters/enable_sriov
echo vfio-pci >$PF_SYSFS/driver_override
echo $PF >$PF_SYSFS/driver/unbind
echo $PF >/sys/bus/pci/drivers_probe
expect "VFIO has the physical function" test "$(driver_of $PF)" = vfio-pci
configure pf "[[pci]]
host = \"$PF\"
managed = false
vf_token = \"$TOKEN\""
before=$(host_state)
run_guest pf
expect "a guest with the physical function and a token: status 0" test "$guest_status" = 0
expect "it sees the physical function" guest_said '^SEEN 0000:01:00.0 0x8086 0x10c9,'
expect "the user's own binding stays" state_is "$before"

make_virtual 1
before=$(host_state)
refuses_to_run vf "no token" "$vf is a virtual function of $PF, which VFIO has: set vf_token"
expect "no token: everything is as before" state_is "$before"
refuses_to_run vf "a wrong token" 'VFIO does not accept the vf_token' \
  --set 'pci.0.vf_token="00000000-0000-0000-0000-000000000000"'
expect "a wrong token: everything is as before" state_is "$before"
run_guest vf --set "pci.0.vf_token=\"$TOKEN\""
expect "the right token: status 0" test "$guest_status" = 0
expect "the guest has the virtual function" guest_said '^SEEN 0000:01:00.0 0x8086 0x10ca,'
expect "the right token: it was reset, and nothing is left" test -z "$(ls -A /run/gpuvm)"
finish
