// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what is said of things that both, libvirt and QEMU, have and gpuvm has
// not. Each is why, and what to do.
#pragma once

#include <string_view>

namespace gpuvm::convert::advice {

inline constexpr std::string_view kUnknown =
    "gpuvm convert does not know it, so it is left out; docs/coming-from-qemu.md says what there "
    "is";
inline constexpr std::string_view kUnknownValue =
    "this value cannot be read, so it is left out: write the key by hand";
inline constexpr std::string_view kScreen =
    "there is no emulated screen: the guest's is that of a GPU passed through as [[pci]]";
inline constexpr std::string_view kRemote =
    "gpuvm serves no screen to others: run a server (ssh, RDP, Sunshine) in the guest";
inline constexpr std::string_view kSound =
    "there is no emulated sound card: pass one through as [[pci]]; a GPU's audio function comes "
    "with "
    "it";
inline constexpr std::string_view kInput =
    "there are no emulated keyboards, mice and tablets: pass a USB controller through as [[pci]]";
inline constexpr std::string_view kUsb =
    "there are no emulated USB controllers: pass one of the host through as [[pci]]";
inline constexpr std::string_view kUsbDevice =
    "no single USB devices are passed through: pass their controller through as [[pci]] (lsusb -t "
    "and "
    "readlink -f /sys/bus/usb/devices/usbN tell which)";
inline constexpr std::string_view kTpm = "there is no TPM: the guest must do without";
inline constexpr std::string_view kSecureBoot =
    "there is no SMM and so no Secure Boot: take a firmware without it, such as "
    "/usr/share/OVMF/OVMF_CODE_4M.fd";
inline constexpr std::string_view kBalloon =
    "there is no ballooning: the guest always has machine.memory";
inline constexpr std::string_view kHotPlug =
    "nothing is plugged while the guest runs: it always has what this file says";
inline constexpr std::string_view kWatchdog =
    "there is no emulated watchdog: `gpuvm test` has limits of time (test.timeout), and systemd in "
    "the guest watches its services";
inline constexpr std::string_view kSmbios =
    "SMBIOS tables are gpuvm's own: a program that looks at them sees others; credentials for "
    "systemd "
    "go into [credentials]";
inline constexpr std::string_view kAcpiTable =
    "no ACPI tables can be added: machine.battery shows a battery, pci.acpi_rom hands a GPU's ROM "
    "out";
inline constexpr std::string_view kHostCpu =
    "the guest has the host's processor, not a model's: cpu.hide takes features away";
inline constexpr std::string_view kTopology =
    "each vCPU is a core of its own, without threads: machine.cpus is their number";
inline constexpr std::string_view kEnlightenment =
    "gpuvm has not this one of Hyper-V's enlightenments: it is left out";
inline constexpr std::string_view kClock =
    "the guest's clock is UTC: set the time zone in the guest";
inline constexpr std::string_view kIommu = "the guest has no IOMMU; the host's is always used";
inline constexpr std::string_view kMdev =
    "mediated devices cannot be passed through: take the GPU, or a virtual function of it (SR-IOV)";
inline constexpr std::string_view kIommufd =
    "VFIO is opened by groups and a container, without iommufd: nothing to do";
inline constexpr std::string_view kIgd =
    "Intel's integrated graphics is passed through without stolen memory, OpRegion and its place "
    "00:02.0: the guest's driver must do without them";
inline constexpr std::string_view kVga =
    "there are no legacy VGA ranges: the GPU's UEFI ROM or the guest's driver makes the first "
    "picture";
inline constexpr std::string_view kMmap =
    "BARs that can be mapped are mapped: there is no way to trap them all";
inline constexpr std::string_view kFunctionBoot =
    "a passed-through device cannot be put first: choose it in the firmware's own boot manager";
inline constexpr std::string_view kVirtioDisk =
    "the disk is a virtio block device here: the guest's initrd needs virtio_blk, and its disk is "
    "/dev/vda and on (UUIDs in fstab and boot loader hold)";
inline constexpr std::string_view kCdrom =
    "a CD drive is a read-only virtio disk here, which cannot be ejected";
inline constexpr std::string_view kFloppy =
    "there are no floppies: put the file into an image or a "
    "[[share]]";
inline constexpr std::string_view kWriteThrough =
    "no write waits for the storage here; a flush of the guest does reach it";
inline constexpr std::string_view kFormatGuessed =
    "QEMU looks into the file for its format; here it is taken from the name: check it with "
    "qemu-img info";
inline constexpr std::string_view kNoSerial =
    "a disk that is not raw has no serial number of its own: /dev/disk/by-id changes, use UUIDs";
inline constexpr std::string_view kRemoteDisk =
    "disks are files and block devices of the host: make the image available there (mount, "
    "nbd-client, "
    "rbd map) and name it in a [[disk]]";
inline constexpr std::string_view kVirtioCard =
    "the network card is a virtio one here: the guest needs the driver virtio_net, and its "
    "interface "
    "may have another name";
inline constexpr std::string_view kMacvtap =
    "there is no macvtap: put the host's interface into a bridge and name that, mode = \"tap\", "
    "bridge = "
    "\"NAME\"";
inline constexpr std::string_view kOtherNet =
    "there is no such network: take a bridge of the host (mode = \"tap\", bridge = \"NAME\") or "
    "mode = "
    "\"user\"";
inline constexpr std::string_view kHostNet =
    "VLANs and filters of a card belong to the host's bridge and tap: set them with ip, nft and "
    "tc; net.throttle limits a card";
inline constexpr std::string_view kNetScript =
    "no scripts are run: make the tap and its bridge before, and name them";
inline constexpr std::string_view kNetAddress =
    "the guest is given no addresses: passt answers its DHCP with the host's, whoever is on a "
    "bridge "
    "else";
inline constexpr std::string_view kNineP =
    "shared folders are virtiofs here, not 9p: in the guest mount -t virtiofs TAG FOLDER, in fstab "
    "too";
inline constexpr std::string_view kShareRoot =
    "gpuvm starts virtiofsd itself, as root and with options "
    "of its own";
inline constexpr std::string_view kMonitor =
    "there is no monitor and no debugger: each guest has a control socket, and gpuvm status, "
    "events, pause, reboot, stop and inspect use it (docs/api.md)";
inline constexpr std::string_view kForeground =
    "gpuvm stays in the foreground: start it by a systemd unit (ENDING A RUN in gpuvm(1))";
inline constexpr std::string_view kPort =
    "gpuvm listens on no network port for a console: \"socket:PATH\", and socat from a port to it";
inline constexpr std::string_view kGuestPort =
    "there are no other virtio ports than org.gpuvm.status (test.status_port): agents of the guest "
    "are "
    "reached by vsock or ssh";
inline constexpr std::string_view kPinOthers =
    "only vCPUs are pinned (machine.pin): start gpuvm with taskset or CPUAffinity= for its other "
    "threads";
inline constexpr std::string_view kQuota =
    "gpuvm sets no limits and shares: run it by systemd with CPUQuota=, MemoryMax= and IOWeight=";
inline constexpr std::string_view kMemoryBacking =
    "memory is one shared file of the host's memory, locked as soon as there is a device: nothing "
    "to do";
inline constexpr std::string_view kSeclabel =
    "gpuvm sets no labels: run it by systemd with User=, ProtectSystem= or AppArmorProfile=";

inline constexpr std::string_view kPinVcpus = "machine.pin has a CPU of the host for each vCPU";
inline constexpr std::string_view kBootMenu = "a menu is the boot loader's own";
inline constexpr std::string_view kOnlyKvm =
    "gpuvm runs guests by KVM only and emulates no processor";
inline constexpr std::string_view kOnlyX86 =
    "gpuvm runs guests of x86-64 on hosts of x86-64 only: this guest needs another monitor";
inline constexpr std::string_view kOnlyLinux =
    "it looks like a guest with Windows: gpuvm runs Linux, Windows is not supported yet";
inline constexpr std::string_view kNoApple =
    "it looks like a guest with macOS: gpuvm runs Linux, and has no Apple SMC";
inline constexpr std::string_view kUnknownServer =
    "no vhost-user servers are taken from elsewhere: gpuvm starts virtiofsd and "
    "qemu-storage-daemon itself, for [[share]] and [[disk]]";
inline constexpr std::string_view kGlobal = "gpuvm has not this device, or has it otherwise";
inline constexpr std::string_view kThrottle =
    "disk.throttle limits reads and writes together, by iops and bandwidth, without bursts: "
    "this one is left out";
inline constexpr std::string_view kDistances = "distances of NUMA nodes are gpuvm's own";
inline constexpr std::string_view kDescriptor =
    "whoever starts gpuvm opens the tap with this number: gpuvm run guest.toml N<>/dev/tapN; "
    "libvirt's own descriptors are nobody else's, so name a tap or a bridge instead";

}  // namespace gpuvm::convert::advice
