#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/uefi.sh"

GUEST_INITRD=$LAB_FIRST_BOOT_INITRD
export XDG_STATE_HOME=$WORK/state
SECRET=vmZQ3-secret

# The host has a default route, which passt wants.
modprobe dummy
ip link add uplink type dummy
ip address add 192.0.2.9/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1

printf '#cloud-config\npackages: [vim]\n' >"$WORK/user.yaml"
printf 'version: 2\n' >"$WORK/network.yaml"
head -c 3000 /dev/urandom >"$WORK/bytes"
printf '#cloud-config\npackages:\n- vim\n runcmd: [ls]\n' >"$WORK/broken.yaml"
printf 'packages: [vim]\n' >"$WORK/headless.yaml"

mkdir -p "$WORK/initrd-main"
cat >"$WORK/initrd-main/dhcp.sh" <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router" dev "$interface"
END
# What stands for an sshd at port 22: it says a server's first words and nothing more.
printf '#!/bin/sh\necho SSH-2.0-made-up\nread -r line\n' >"$WORK/initrd-main/answer.sh"
chmod 755 "$WORK/initrd-main"/*.sh

add_program main blkid
make_guest main '
until_true 20 test -d /sys/firmware/dmi/entries/11-0
cp /sys/firmware/dmi/entries/11-0/raw /tmp/raw
echo "MODE $(stat -c %a /sys/firmware/dmi/entries/11-0/raw)"
tail -c +6 /tmp/raw | tr "\000" "\n" | grep . | while read -r text; do
  echo "STRING $(printf %s "$text" | md5sum | cut -d" " -f1) $(printf %.60s "$text")"
done
disk=$(basename /sys/bus/pci/devices/0000:00:18.0/virtio*/block/*)
echo "VOLUME $disk $(cat /sys/block/$disk/ro) $(cat /sys/block/$disk/serial) $(blkid /dev/$disk)"
mkdir /mnt
mount -t vfat /dev/$disk /mnt && echo "FILES $(ls /mnt | sort | tr "\n" " ")"
for file in user-data network-config; do echo "MD5 $file $(md5sum </mnt/$file | cut -d" " -f1)"; done
sed "s/^/META /" /mnt/meta-data
sed "s/^/VENDOR /" /mnt/vendor-data
touch /mnt/written 2>/dev/null && echo WRITTEN
umount /mnt
dd if=/dev/zero of=/dev/$disk bs=512 count=1 2>/dev/null && echo WRITTEN
ip link set eth0 up
udhcpc -i eth0 -f -q -n -t 20 -T 1 -s /dhcp.sh >/dev/null 2>&1
ip link set lo up
echo "ADDRESS $(ip -4 -o address show eth0)"
echo READY; read -r go
nc -ll -p 22 -e /answer.sh >/tmp/nc 2>&1 &
until_true 20 grep -q ":0016 " /proc/net/tcp /proc/net/tcp6 || echo "NOBODY-LISTENS $(cat /tmp/nc)"
echo ANSWERS; read -r go
show_dmesg
reboot -f
' <<END
[machine]
memory = "512MiB"
[[net]]
forward = ["tcp:127.0.0.1/2222:22"]
[cloud_init]
user_data = "user.yaml"
network_config = "network.yaml"
[credentials]
greeting = "$SECRET"
ssh.authorized_keys.root = "ssh-ed25519 AAAA theirs"
my.bytes = { file = "bytes" }
END
sed -i '1i ssh_key = "auto"' "$WORK/main.toml"

# refused WHAT STATUS TEXT OPTION…: the same guest, changed, must not start.
refused() {
  local got=0
  timeout 60 "$GPUVM" run -q "$WORK/main.toml" "${@:4}" >/dev/null 2>"$WORK/refused" </dev/null || got=$?
  cat "$WORK/refused"
  expect "$1: exit status $2" test "$got" = "$2"
  expect "$1: one line that says '$3'" test "$(grep -c -- "$3" "$WORK/refused") $(wc -l <"$WORK/refused")" = '1 1'
}
# ssh_says WHAT STATUS TEXT WORD…: gpuvm ssh ends with that status and says that.
ssh_says() {
  local got=0
  timeout 120 "$GPUVM" ssh "${@:4}" >"$WORK/said" 2>&1 </dev/null || got=$?
  cat "$WORK/said"
  expect "$1: exit status $2" test "$got" = "$2"
  [[ -z $3 ]] || expect "$1: it says '$3'" grep -q -- "$3" "$WORK/said"
}

refused "user data that is no YAML" 78 'cloud_init.user_data (--set .*broken.yaml:4:' --set cloud_init.user_data=broken.yaml
refused "user data without its first line" 78 'write #cloud-config into the first line' --set cloud_init.user_data=headless.yaml
refused "no user data" 78 'cloud_init.user_data (--set .*): Cannot open .*absent' --set cloud_init.user_data=absent
refused "a credential that is not there" 78 'credentials.my.bytes.file (--set .*): Cannot open .*absent' --set credentials.my.bytes.file=absent
refused "a private key" 78 'is a private key' --set "ssh_key=$(ssh-keygen -q -t ed25519 -N '' -f "$WORK/private" && echo "$WORK/private")"
expect_not "no key was made for those" test -e "$WORK/state/gpuvm"
"$GPUVM" run --dry-run "$WORK/main.toml" >"$WORK/dry" 2>&1 || true
expect "a dry run names the credentials" grep -q '^# "greeting" = a text, which is not shown' "$WORK/dry"
expect_not "and shows none" grep -q "$SECRET" "$WORK/dry"
expect_not "nor makes it a key" test -e "$WORK/state/gpuvm"
ssh_says "no guest runs" 69 'No guest named main runs here; none' main

# seen_by_guest MODE TIMES: what the guest has told TIMES by now.
seen_by_guest() {
  local key string
  key=$(<"$WORK/state/gpuvm/id_ed25519.pub")
  has() { expect "$1: $2" test "$(grep -ac -- "$3" "$CONSOLE")" = "$4"; }
  has "$1" "only root reads the credentials" '^MODE 400' "$2"
  for string in "io.systemd.credential:greeting=$SECRET" \
    "io.systemd.credential.binary:my.bytes=$(base64 -w 0 <"$WORK/bytes")" \
    "io.systemd.credential.binary:ssh.authorized_keys.root=$(printf 'ssh-ed25519 AAAA theirs\n%s\n' "$key" | base64 -w 0)"; do
    has "$1" "the string ${string:0:40}" "^STRING $(printf %s "$string" | md5sum | cut -d' ' -f1) io.systemd" "$2"
  done
  has "$1" "three strings" '^STRING ' $((3 * $2))
  has "$1" "the volume: read-only, serial, label" '^VOLUME vda 1 gpuvm-cloud-init .*LABEL="CIDATA".*TYPE="vfat"' "$2"
  has "$1" "its files" '^FILES meta-data network-config user-data vendor-data' "$2"
  has "$1" "user-data as given" "^MD5 user-data $(md5sum <"$WORK/user.yaml" | cut -d' ' -f1)" "$2"
  has "$1" "network-config as given" "^MD5 network-config $(md5sum <"$WORK/network.yaml" | cut -d' ' -f1)" "$2"
  has "$1" "meta-data: the instance" '^META instance-id: "main-[0-9a-f]\{16\}"' "$2"
  has "$1" "meta-data: the same instance each time" "$(grep -a '^META instance' "$CONSOLE" | head -n 1 | tr -d '\r')" "$2"
  has "$1" "meta-data: the key" "^META - \"$key\"" "$2"
  has "$1" "vendor-data: root may log in" '^VENDOR disable_root: false' "$2"
  has "$1" "nothing was written" '^WRITTEN' 0
}

start_guest main --log-file "$WORK/main.messages" -v
wait_console '^READY' 180
seen_by_guest linux 1
expect "the key is its user's alone" test "$(stat -c '%a %a' "$WORK/state/gpuvm/id_ed25519")" = '600 600'
expect "the guest is announced, for its user alone" test "$(stat -c %a /run/gpuvm/guest-main.run)" = 600
ssh_says "another guest" 69 'those of this user that run: main' other
ssh_says "nobody answers yet" 69 'No sshd of the guest main has answered within 1 s' --wait 1 main
"$GPUVM" ssh --print main >"$WORK/printed"
cat "$WORK/printed"
expect "the command line of ssh" grep -q "^ssh -F none .*IdentityFile=$WORK/state/gpuvm/id_ed25519 .*-l root -o HostName=127.0.0.1 -p 2222$" "$WORK/printed"
type_line go
wait_console '^ANSWERS' 60
expect "the guest has an address, and listens" guest_said '^ADDRESS .* 192.0.2.9/24'
expect_not "nobody listens" guest_said '^NOBODY-LISTENS'
ssh_says "a made-up sshd, which ssh itself finds" 255 '' --wait 30 main -- true
type_line go
wait_console '^READY' 180 2
seen_by_guest "after a reboot" 2
check_dmesg
expect "the guest is announced still" test -e /run/gpuvm/guest-main.run
kill_gpuvm "$guest"
wait "$guest" || true
ssh_says "a killed gpuvm's guest" 69 'No guest named main runs here; none' main
expect_not "no secret in gpuvm's messages" grep -q "$SECRET" "$WORK/main.messages"

start_guest main --set boot.mode=efi-handover
wait_console '^READY' 180
seen_by_guest efi-handover 1
type_line go
wait_console '^ANSWERS' 60
end_guest
expect_not "no secret in the state of the machine" grep -q "$SECRET" "$WORK/main.inspect.json"
expect_not "nothing is left of the guest" test -e /run/gpuvm/guest-main.run

start_guest main "${UEFI[@]}"
wait_console '^READY' 300
seen_by_guest uefi 1
end_guest
finish
