# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The Debian system that the tests of nodes boot, made by scripts/make-image. Sourced, after outside.sh.

# Of a stock kernel only what such a guest loads: the rest would take half of the time that the image takes.
NODE_WITHOUT=(
  drivers/{media,infiniband,isdn,staging,iio,mtd,'scsi/*',bluetooth,hwmon,leds,md,thunderbolt,comedi,target,mfd,power,regulator,extcon,mmc}
  drivers/{nfc,w1,platform,ata,firewire,atm,edac,video,gpio,spi,ntb,rapidio,soundwire,crypto}
  drivers/gpu/drm/{amd,radeon,nouveau,i915,gma500,vmwgfx} drivers/net/{wireless,ethernet,usb,can,phy,dsa,wan} drivers/usb/{serial,gadget,misc}
  drivers/input/{touchscreen,joystick,tablet} sound
  fs/{ocfs2,gfs2,btrfs,xfs,ceph,nfs,nfsd,f2fs,jfs,reiserfs,cifs,smb,afs,nilfs2,ubifs,jffs2,dlm,hfs,hfsplus,udf,ntfs,ntfs3}
  net/{bluetooth,wireless,mac80211,sctp,batman-adv,ceph,tipc,rxrpc,netfilter,sched,openvswitch,can,dccp,sunrpc,bridge}
)

# Beside another test the guest may get a tenth of a processor: no device and no service is late.
NODE_CMDLINE='quiet systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900'
export LAB_NODE_CMDLINE="root=LABEL=root rw console=ttyS0 $NODE_CMDLINE" # of the modes that start the host's kernel

# What the image follows from: who makes it, and today's versions of what matters in it.
node_image_key() {
  {
    cat scripts/make-image scripts/lib/image-*.sh tests/lab/lib/node_image.sh
    find scripts/image -type f -print -exec cat {} + | LC_ALL=C sort
    apt-cache policy linux-image-amd64 systemd openssh-server e2fsprogs | grep Candidate
  } | sha256sum | cut -c 1-16
}

# In a folder that becomes visible in one step: the disk as an archive, because the lab host reads holes of a shared file byte by byte.
make_node_image() {
  local folder glob tmp options=()
  folder=$1
  tmp=$(mktemp -d "$folder.XXXXXX.tmp")
  for glob in "${NODE_WITHOUT[@]}"; do
    options+=(--exclude "/lib/modules/*/kernel/$glob/*")
  done
  ssh-keygen -q -t ed25519 -N '' -C node -f "$tmp/key"
  scripts/make-image "$tmp/node.img" --size 1G --hostname node --ssh-key "$tmp/key.pub" --with cloud-init --kernel-dir "$tmp/node" \
    --cmdline "$NODE_CMDLINE" "${options[@]}"
  tar -C "$tmp" -cSf "$tmp/node.tar" node.img node
  rm -r "$tmp/node.img" "$tmp/node"
  mv -T "$tmp" "$folder"
}

# use_node_image: sets LAB_NODE to the folder with the image, which is made when it is not there.
use_node_image() {
  mkdir -p "$REPO/build/lab/node"
  LAB_NODE=$REPO/build/lab/node/$(node_image_key)
  export LAB_NODE
  (
    flock 9
    [[ ! -e $LAB_NODE ]] || exit 0
    rm -rf "$REPO"/build/lab/node/*/
    make_node_image "$LAB_NODE" 9>&- >&2
  ) 9>"$REPO/build/lab/node/.lock"
}
