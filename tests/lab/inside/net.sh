#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GUEST_INITRD=$LAB_NET_INITRD
MIB=4
BUSYBOX=$PWD/build/lab/tools/busybox

# The host: a bridge with an address, and an uplink with the default route, whose address passt gives to the guest.
modprobe -a tun bridge dummy
ip link add br0 type bridge
ip address add 10.9.0.1/24 dev br0
ip link set br0 up
ip link add uplink type dummy
ip address add 192.0.2.9/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1
mkdir -p "$WORK/www" "$WORK/initrd-main"
head -c $((MIB * 1048576)) /dev/urandom >"$WORK/www/data"
head -c $((MIB * 1048576)) /dev/urandom >"$WORK/initrd-main/data"
host_md5=$(md5sum <"$WORK/www/data" | cut -d' ' -f1)
guest_md5=$(md5sum <"$WORK/initrd-main/data" | cut -d' ' -f1)
"$BUSYBOX" httpd -p 10.9.0.1:8080 -h "$WORK/www"
"$BUSYBOX" httpd -p 127.0.0.1:8081 -h "$WORK/www"

cat >"$WORK/initrd-main/dhcp.sh" <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router" dev "$interface"
[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
END
chmod 755 "$WORK/initrd-main/dhcp.sh"

# The guest does what it is told to on its console.
make_guest main '
fetch() { echo "FETCHED $1 $(wget -q -O - "$2" | md5sum | cut -d" " -f1)"; }
until_true 20 test -e /sys/class/net/eth1
for card in eth0 eth1; do
  echo "CARD $card $(cat /sys/class/net/$card/address) $(basename "$(readlink -f /sys/class/net/$card/device/..)") $(cat /sys/class/net/$card/device/features)"
done
ip link set lo up
ip address add 10.9.0.2/24 dev eth0
ip link set eth0 up
ip link set eth1 up
udhcpc -i eth1 -f -q -n -t 20 -T 1 -O mtu -s /dhcp.sh >/dev/null 2>&1
echo "DHCP $(ip -4 -o address show eth1) mtu $(cat /sys/class/net/eth1/mtu)"
mkdir /www
mv /data /www/
httpd -h /www
echo NET-UP
while read -r line; do eval "$line"; done
' <<END
[machine]
memory = "256MiB"
[[net]]
mode = "tap"
tap = "vm0"
bridge = "br0"
mac = "52:54:00:aa:00:01"
[[net]]
mode = "user"
forward = ["tcp:2222:80"]
host_loopback = true
END

# refused WHAT STATUS TEXT OPTION…: the same guest, changed, must not start.
refused() {
  local got=0
  timeout 60 "$GPUVM" run -q --set name=refused "$WORK/main.toml" "${@:4}" >/dev/null 2>"$WORK/refused" </dev/null || got=$?
  cat "$WORK/refused"
  expect "$1: exit status $2" test "$got" = "$2"
  expect "$1: one line that says '$3'" test "$(grep -c -- "$3" "$WORK/refused") $(wc -l <"$WORK/refused")" = '1 1'
}
# is_gone COMMAND…: true once the command fails, within five seconds.
is_gone() {
  local tries
  for ((tries = 0; tries < 50; tries++)); do
    "$@" >/dev/null 2>&1 || return 0
    pause 0.1
  done
  return 1
}
passt_of_guest() { pgrep -f -- '^passt --quiet --fd'; }
# tell COMMAND TEXT SECONDS [TIMES]: a command for the guest, and what it answers with.
tell() {
  type_line "$1"
  wait_console "$2" "${@:3}"
}
# (Debian 12's busybox-static crashes in wget -T.)
# both_ways LIFE TIMES: data by both cards, from the guest and to it; by TIMES the guest has said so.
both_ways() {
  local started=$SECONDS
  tell 'fetch tap http://10.9.0.1:8080/data' '^FETCHED tap' 120 "$2"
  tell 'fetch user http://192.0.2.1:8081/data' '^FETCHED user' 120 "$2"
  expect "$1: from the host by the tap, $MIB MiB" test "$(grep -ac "^FETCHED tap $host_md5" "$CONSOLE")" = "$2"
  expect "$1: from the host by passt" test "$(grep -ac "^FETCHED user $host_md5" "$CONSOLE")" = "$2"
  expect "$1: from the guest by the tap" test "$(timeout 60 "$BUSYBOX" wget -q -O - http://10.9.0.2/data | md5sum | cut -d' ' -f1)" = "$guest_md5"
  expect "$1: from the guest by passt's port" test "$(timeout 60 "$BUSYBOX" wget -q -O - http://127.0.0.1:2222/data | md5sum | cut -d' ' -f1)" = "$guest_md5"
  echo "$1: 4 x $MIB MiB in $((SECONDS - started)) s"
}

refused "a bridge that is not there" 78 'bridge = "br9": this host has no such bridge' --set net.0.bridge=br9
refused "a port in use" 69 'TCP port 8081 of this host is in use' --set 'net.1.forward=["tcp:8081:80"]'

start_guest main --events "$WORK/main.events"
wait_console '^NET-UP' 120
expect "the first card: its address, its place, all offloads" guest_said '^CARD eth0 52:54:00:aa:00:01 0000:00:1b.0 11...1.111.111.11'
expect "the second card: an address of its own, its place, none of them" guest_said '^CARD eth1 .[26ae]:.* 0000:00:1c.0 00...1.000.000.11'
expect "passt gives the host's address, and its large MTU" guest_said '^DHCP .* 192.0.2.9/24 .*mtu 65520'
expect "the tap is in the bridge" test -e /sys/class/net/br0/brif/vm0
expect "the guest answers a ping" "$BUSYBOX" ping -c 2 -W 5 10.9.0.2
both_ways "first life" 1
type_line 'reboot -f'
wait_console '^NET-UP' 120 2
both_ways "after a reboot" 2

kill -9 "$(passt_of_guest)"
wait_log 'net-1: .*link is down' 30
tell 'until_true 10 grep -q 0 /sys/class/net/eth1/carrier; echo "CARRIER $(cat /sys/class/net/eth0/carrier /sys/class/net/eth1/carrier | tr -d "\n")"' '^CARRIER' 60
expect "a killed passt is a link that is down, the other stays up" guest_said '^CARRIER 10'
expect "an event tells of it" grep -q '"event":"network","network":"net-1","link":"down"' "$WORK/main.events"
expect "the tap goes on" "$BUSYBOX" ping -c 1 -W 5 10.9.0.2
type_line 'show_dmesg; poweroff -f'
wait_guest 60
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
check_dmesg
expect_not "the tap is gone" test -e /sys/class/net/vm0
for counter in sent_dropped received_dropped; do
  grep -o "\"$counter\": *[0-9]*" "$WORK/main.inspect.json"
done

# Now the kernel serves the taps' queues; one tap was there before, and a launcher has opened another as descriptor 9.
modprobe vhost_net
ip tuntap add dev vm1 mode tap
ip link set vm1 master br0 up
cat >"$WORK/launcher" <<END
#!/bin/bash
exec perl -MPOSIX -e 'open(my \$tap, "+<", "/dev/net/tun") or die; my \$request = pack("a16 S x22", "vm2", 0x5002);
  ioctl(\$tap, 0x400454ca, \$request) or die; POSIX::dup2(fileno(\$tap), 9); exec @ARGV' "$GPUVM" "\$@"
END
chmod 755 "$WORK/launcher"
GPUVM=$WORK/launcher start_guest main --set net.0.tap=vm1 --set net.2.mode=tap --set net.2.fd=9
wait_console '^NET-UP' 120
expect "/dev/vhost-net is in use" grep -q vhost-net <(readlink "/proc/$(monitor_of "$guest")/fd"/*)
both_ways "by vhost-net" 1
ip address add 10.9.1.1/24 dev vm2
ip link set vm2 up
tell 'ip address add 10.9.1.2/24 dev eth2; ip link set eth2 up; echo THIRD-UP' '^THIRD-UP' 30
expect "the tap that was handed over leads to the guest, too" "$BUSYBOX" ping -c 1 -W 5 10.9.1.2
type_line 'reboot -f'
wait_console '^NET-UP' 120 2
both_ways "by vhost-net, after a reboot" 2
expect "passt runs" passt_of_guest
kill_gpuvm "$guest"
wait "$guest" || true
expect "a killed gpuvm leaves no passt" is_gone passt_of_guest
expect "nor a tap that is nobody's" is_gone test -e /sys/class/net/vm2
expect "a tap that was there stays" test -e /sys/class/net/br0/brif/vm1

# What listens on the host's loopback is the host's alone, unless the configuration says otherwise.
start_guest main --set net.1.host_loopback=false
wait_console '^NET-UP' 120
tell 'echo "GOT $(timeout 10 wget -q -O - http://192.0.2.1:8081/data | wc -c)"' '^GOT' 60
expect "without host_loopback the gateway's address leads nowhere" guest_said '^GOT 0'
expect "the guest's own port is still there" test "$(timeout 60 "$BUSYBOX" wget -q -O - http://127.0.0.1:2222/data | md5sum | cut -d' ' -f1)" = "$guest_md5"
type_line 'poweroff -f'
wait_guest 60

# Several pairs of queues: as many as the guest has vCPUs. The tap of one queue is refused; one that gpuvm makes is used, and deleted.
refused "a tap of one queue" 78 'tap = "vm1" has one queue, and queues = 2' --set net.0.tap=vm1 --set net.0.queues=2
start_guest main --set machine.cpus=2 --set net.0.queues=4
wait_console '^NET-UP' 120
expect "four vhosts" test "$(readlink "/proc/$(monitor_of "$guest")/fd"/* | grep -c vhost-net)" = 4
tell 'echo "QUEUES $(ls /sys/class/net/eth0/queues | grep -c rx-)"' '^QUEUES' 30
expect "the guest uses a pair for each of its vCPUs" guest_said '^QUEUES 2'
both_ways "by two of four pairs" 1
type_line 'reboot -f'
wait_console '^NET-UP' 120 2
both_ways "by two of four pairs, after a reboot" 2
ip link delete vm0
wait_log 'net-0: .*link is down' 30
tell 'until_true 10 grep -q 0 /sys/class/net/eth0/carrier; echo "DELETED $(cat /sys/class/net/eth0/carrier)"' '^DELETED' 60
expect "a tap that somebody deletes is a link that is down" guest_said '^DELETED 0'
type_line 'show_dmesg; poweroff -f'
wait_guest 60
expect "power off ends gpuvm with status 0, without its tap" test "$guest_status" = 0
expect "two of the pairs were used" grep -q '"pairs_used": *2' "$WORK/main.inspect.json"
check_dmesg
finish
