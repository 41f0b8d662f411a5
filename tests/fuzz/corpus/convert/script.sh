#!/bin/bash
# A script as people keep them: variables, an array, a comment within, and what only the shell knows.
set -e
IMAGES=/srv/images
MEM="24G"
GPU="0000:0b:00"
modprobe vfio-pci 2>/dev/null || true

OPTS=(
  -enable-kvm
  -name "render node"
  -machine q35,accel=kvm   # the only one with PCI Express
  -m "$MEM"
  -smp sockets=1,cores=6,threads=2
)
OPTS+=( -cpu 'host,kvm=off,hv_vendor_id=0123456789ab,-la57,topoext=on' )

sudo taskset -c 0-5 qemu-system-x86_64 "${OPTS[@]}" \
  -object memory-backend-file,id=mem,size=24G,mem-path=/dev/hugepages-1G,share=on,prealloc=on \
  -numa node,memdev=mem,cpus=0-11 \
  -device pcie-root-port,id=rp1,slot=1 -device pcie-root-port,id=rp2,slot=2 \
  -device vfio-pci,host=$GPU.0,bus=rp1,addr=0x0,multifunction=on,romfile="$IMAGES/gpu.rom",x-pci-sub-vendor-id=0x1028,x-pci-sub-device-id=0x0706,rombar=1,x-no-mmap=on,display=off \
  -device vfio-pci,host=$GPU.1,bus=rp1,addr=0x0.1 \
  -device vfio-pci,host=0c:00.3,bus=rp2,rombar=0 \
  -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
  -drive if=pflash,format=raw,file=$HOME/render_VARS.fd \
  -drive file=$IMAGES/root.qcow2,if=none,id=root,format=qcow2,cache=directsync,discard=unmap \
  -device virtio-scsi-pci,id=scsi0 -device scsi-hd,drive=root,bus=scsi0.0,bootindex=1,serial=root \
  -drive file=/dev/nvme1n1,if=virtio,format=raw,cache=none,throttling.iops-total=500 \
  -drive file=seed.iso,media=cdrom \
  -netdev tap,id=net0,ifname=vm0,script=no,downscript=no,vhost=on,queues=4 \
  -device virtio-net-pci,netdev=net0,mac=52:54:00:aa:bb:cc,mq=on,vectors=10,host_mtu=9000 \
  -nic user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:2222-:22,dns=10.0.0.1 \
  -virtfs local,path=/srv/share,mount_tag=share,security_model=none,readonly=on \
  -device vhost-vsock-pci,guest-cid=7 -device virtio-rng-pci -device virtio-balloon \
  -chardev socket,id=con,path=/run/con.sock,server=on,wait=off -device virtio-serial-pci -device virtconsole,chardev=con \
  -serial mon:stdio -device pvpanic -device isa-debug-exit,iobase=0xf4,iosize=4 \
  -smbios type=11,value=io.systemd.credential:firstboot.locale=C.UTF-8 \
  -spice port=5900 -device qxl-vga -device intel-hda -device hda-duplex -device usb-tablet -tpmdev emulator,id=t,chardev=c \
  -rtc base=localtime -no-reboot -readconfig more.cfg -smp $(nproc) "$@" >qemu.log 2>&1 &
