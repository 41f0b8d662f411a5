// SPDX-License-Identifier: Apache-2.0
// Names of things that gpuvm does not have, or that need no key, and what to do instead. The
// sources are named as in foreign_names.cpp.
#include "vmm/config/foreign_names.hpp"

namespace gpuvm::config {
namespace {

constexpr std::string_view kNoScreen =
    "gpuvm has no emulated screen: the guest's is that of a GPU passed through as [[pci]]";
constexpr std::string_view kNoSound =
    "gpuvm has no emulated sound card: pass one through as [[pci]]";
constexpr std::string_view kNoHotPlug =
    "the memory of a guest is always machine.memory: remove this key";
constexpr std::string_view kLocked =
    "with a [[pci]] all memory is allocated and locked anyway: remove this key";
constexpr std::string_view kOneMachine = "there is one kind of machine only: remove this key";
constexpr std::string_view kHostCpu =
    "the guest has the host's processor: cpu.hide takes features away, else remove this key";
constexpr std::string_view kNoTopology = "each vCPU is a core of its own: set machine.cpus";
constexpr std::string_view kAio =
    "raw disks go by io_uring where the host has it, else by threads: remove this key";
constexpr std::string_view kVirtio = "all disks are virtio block devices: remove this key";
constexpr std::string_view kVirtioCard =
    "all network cards of [[net]] are virtio ones: remove this key";
constexpr std::string_view kNoUsb =
    "gpuvm passes no single USB devices through: pass their controller through as [[pci]]";
constexpr std::string_view kNoTpm = "gpuvm has no TPM: remove this section";
constexpr std::string_view kNoMonitor =
    "gpuvm has a control socket of its own in place of a monitor: [control], and gpuvm-api(7)";

constexpr std::string_view kCloudInitFiles =
    "cloud-init's files are named in a section of their own, [cloud_init]: user_data, meta_data "
    "and "
    "network_config";
constexpr std::string_view kNoBacking =
    "a qcow2 image says itself what it lies over (qemu-img create -f qcow2 -b BASE -F raw NEW, "
    "both "
    "in one folder), and disk.throwaway = true is an overlay for one run: remove this key";
constexpr std::string_view kSizeOfFile =
    "a disk has the size of its file (truncate -s 8G FILE for a raw one, qemu-img resize for "
    "others): "
    "remove this key";
constexpr std::string_view kThreadOfQueue =
    "each queue of a disk (disk.queues) has a thread of its own: remove this key";
constexpr std::string_view kBlockOfFile =
    "a disk has the block size of its device, and 512 bytes of a file: remove this key";
constexpr std::string_view kErrorsToGuest =
    "errors of the storage reach the guest as I/O errors: remove this key";
constexpr std::string_view kOneQueueSize = "queues have one size: remove this key";
constexpr std::string_view kNoVirtiofsdOptions =
    "gpuvm starts virtiofsd itself, with options of its own (cache=auto, a sandbox): remove this "
    "key";
constexpr std::string_view kGuestMounts =
    "the guest mounts it where it likes (mount -t virtiofs TAG FOLDER): remove this key";
constexpr std::string_view kOwnersStay =
    "files have the owners and permissions that they have on the host: remove this key";
constexpr std::string_view kPortsOfPrograms =
    "ports of a vsock belong to the programs that use them: remove this key";
constexpr std::string_view kRealVsock =
    "programs of the host reach the guest by AF_VSOCK (socat VSOCK-CONNECT), not by a socket file: "
    "remove this key";
constexpr std::string_view kHostRandom =
    "the random numbers are the host's (getrandom), at most 1 MiB a second: remove this key";
constexpr std::string_view kNoSmbios =
    "gpuvm makes the SMBIOS tables itself; what they may carry are credentials for the guest's "
    "systemd, in the section [credentials]: remove this";
constexpr std::string_view kGuestsAddress =
    "the address is the guest's own (net.mac); taps and bridges have theirs from the host: remove "
    "this "
    "key";
constexpr std::string_view kNegotiated =
    "offloads are agreed with the guest's driver by themselves: remove this key";
constexpr std::string_view kNoTimeout =
    "test.timeout is the limit of `gpuvm test`; `gpuvm run` sets none (start it by `timeout "
    "--foreground`): remove this key";
constexpr std::string_view kNoMdev =
    "gpuvm passes PCI functions through, no mediated devices: name the GPU or a virtual function "
    "of "
    "it (SR-IOV) as pci.host";
constexpr std::string_view kOnlyGroups =
    "gpuvm opens VFIO by groups and a container, without iommufd: remove this key";
constexpr std::string_view kNoLegacyGraphics =
    "gpuvm shows a GPU without legacy VGA and Intel's OpRegion: the guest's driver must do without "
    "them; remove this key";

constexpr std::string_view kNoMenu =
    "gpuvm waits for nobody at the start: a menu is the boot loader's own; remove this key";
constexpr std::string_view kNoCrashAction =
    "test.pvpanic = true ends the run when the kernel panics; one that reboots instead (panic=1 in "
    "boot.cmdline) does what machine.on_reboot says: remove this key";
constexpr std::string_view kPowerOffEnds =
    "a guest that powers off ends the run with status 0: remove this key";
constexpr std::string_view kAlwaysMapped =
    "gpuvm maps the BARs that can be mapped, and there is no way to keep it from that: remove this "
    "key";
constexpr std::string_view kHostMakesFunctions =
    "virtual functions are made on the host (echo N > /sys/bus/pci/devices/BDF/sriov_numvfs): name "
    "one as pci.host";

constexpr std::string_view kNoVhost =
    "the kernel (vhost-net) carries the frames of a tap by itself where /dev/vhost-net can be "
    "opened: remove this key";
constexpr std::string_view kNoScripts =
    "gpuvm runs no scripts: name a bridge (net.bridge), or make the tap yourself (ip tuntap add) "
    "and name it (net.tap); remove this key";
constexpr std::string_view kGuestAsks =
    "gpuvm gives the guest no addresses: passt (mode = \"user\") or whoever is on the bridge "
    "answers its DHCP, else set them in the guest; remove this key";
constexpr std::string_view kHostFilters =
    "VLANs and filters belong to the host's tap and bridge (ip, nft, tc): remove this key";
constexpr std::string_view kNoVhostUser =
    "gpuvm has no vhost-user: net.mode is \"user\" (passt) or \"tap\"; remove this key";
constexpr std::string_view kNoIds =
    "a section is known by its place in the file and has no name: remove this key";
constexpr std::string_view kHostSetsFunction =
    "address and VLAN of a virtual function are set on the host (ip link set DEV vf N mac "
    "ADDRESS): remove this key";
constexpr std::string_view kAlwaysVfio =
    "gpuvm binds functions to vfio-pci by itself, unless pci.managed is false: remove this key";
constexpr std::string_view kNoGuestIommu =
    "the guest has no IOMMU, and the host's is always used: remove this key";
constexpr std::string_view kAlwaysExpress =
    "all functions are behind PCI Express root ports: remove this key";
constexpr std::string_view kAlwaysKvm = "guests run on KVM, always: remove this key";
constexpr std::string_view kForeground =
    "gpuvm stays in the foreground: start it by a systemd unit (ENDING A RUN in gpuvm(1) has one), "
    "and remove this key";
constexpr std::string_view kIsOption =
    "this is an option of the command, as in gpuvm run --events FILE (also --log-file, "
    "--inspect-file): remove this key";
constexpr std::string_view kOneCardEach =
    "each [[pci]] takes one card: write the section once for each, and remove this key";
constexpr std::string_view kWaitIsOption =
    "waiting for a card is an option of the command, gpuvm run --wait 30m: remove this key";
constexpr std::string_view kRootOfGuest =
    "name the guest's root in boot.cmdline (\"root=/dev/vda1\"), its image as a [[disk]], and "
    "remove this key";
constexpr std::string_view kNoSecureBoot = "gpuvm has no Secure Boot: remove this key";
constexpr std::string_view kNoCpuPlug =
    "vCPUs are not plugged: the guest always has machine.cpus of them; remove this key";

constexpr std::string_view kInUserData =
    "that is a line of the file that cloud_init.user_data names: write it there, below "
    "#cloud-config";
constexpr std::string_view kOneFile =
    "a guest has one file, and \"gpuvm run --set KEY=VALUE\" changes keys for one run: remove this "
    "key";
constexpr std::string_view kNotNested = "guests cannot run guests of their own: remove this key";

constexpr std::string_view kStartedBySystemd =
    "systemctl enable gpuvm@NAME starts it with the host: remove this key";
constexpr std::string_view kNoInput =
    "gpuvm has no emulated keyboards, mice and tablets: pass a USB controller through as [[pci]]";
constexpr std::string_view kNoAgent =
    "no agent in the guest is asked: gpuvm ssh runs commands there, and test.status_port hears a "
    "word of it; remove this key";
constexpr std::string_view kInNetworkConfig =
    "that goes into the file that cloud_init.network_config names";

constexpr ForeignThing kThings[] = {
    {"", "ostype", "gpuvm runs Linux, and needs not be told: remove this key", "Proxmox ostype:"},
    {"", "scsihw", kVirtio, "Proxmox scsihw:"},
    {"", "agent", kNoAgent, "Proxmox agent:"},
    {"", "autostart", kStartedBySystemd, "libvirt virsh autostart"},
    {"", "onboot", kStartedBySystemd, "Proxmox onboot:"},
    {"", "startup", kStartedBySystemd, "Proxmox startup:"},
    {"", "keyboard", kNoInput, "Proxmox keyboard:"},
    {"", "tablet", kNoInput, "Proxmox tablet:"},
    {"", "usb0", kNoUsb, "Proxmox usb0:"},
    {"", "tpmstate0", kNoTpm, "Proxmox tpmstate0:"},
    {"", "smbios1", kNoSmbios, "Proxmox smbios1:"},
    {"", "vmgenid", "there is no generation id: remove this key", "Proxmox vmgenid:"},
    {"", "hotplug", "cards come by gpuvm attach to ports of machine.free_ports: remove this key",
     "Proxmox hotplug:"},
    {"", "hookscript", "a unit of systemd has ExecStartPre= and ExecStopPost=: remove this key",
     "Proxmox hookscript:"},
    {"", "localtime", "the guest's clock is UTC: set its time zone in the guest; remove this key",
     "Proxmox localtime:"},
    {"", "ciuser", kInUserData, "Proxmox ciuser:"},
    {"", "cipassword", kInUserData, "Proxmox cipassword:"},
    {"", "ipconfig0", kInNetworkConfig, "Proxmox ipconfig0:"},
    {"", "nameserver", kInNetworkConfig, "Proxmox nameserver:"},
    {"", "searchdomain", kInNetworkConfig, "Proxmox searchdomain:"},
    {"pci", "legacy_igd", kNoLegacyGraphics, "Proxmox hostpci legacy-igd="},
    {"", "backing", kNoBacking, "QEMU -blockdev backing="},
    {"cloud_init", "bootcmd", kInUserData, "cloud-init"},
    {"cloud_init", "packages", kInUserData, "cloud-init"},
    {"cloud_init", "password", kInUserData, "cloud-init"},
    {"cloud_init", "runcmd", kInUserData, "cloud-init"},
    {"cloud_init", "user", kInUserData, "cloud-init"},
    {"cloud_init", "users", kInUserData, "cloud-init"},
    {"cloud_init", "vendor_data", kInUserData, "cloud-init"},
    {"cloud_init", "write_files", kInUserData, "cloud-init"},
    {"", "extends", kOneFile, "plain"},
    {"", "include", kOneFile, "plain"},
    {kAnySection, "nested", kNotNested, "plain"},
    {kAnySection, "cloud_init", kCloudInitFiles, "Proxmox"},
    {kAnySection, "cloudinit", kCloudInitFiles, "Proxmox"},
    {"disk", "backing", kNoBacking, "QEMU -blockdev backing="},
    {"disk", "backing_fmt", kNoBacking, "qemu-img create -F"},
    {"disk", "backingstore", kNoBacking, "libvirt <backingStore>"},
    {"disk", "base", kNoBacking, "plain"},
    {"disk", "capacity", kSizeOfFile, "libvirt <capacity>"},
    {"disk", "size", kSizeOfFile, "Proxmox disk size="},
    {kAnySection, "iothread", kThreadOfQueue, "QEMU -device iothread=, Proxmox iothread="},
    {kAnySection, "iothreads", kThreadOfQueue, "libvirt <iothreads>"},
    {"disk", "threads", kThreadOfQueue, "plain"},
    {"disk", "blockio", kBlockOfFile, "libvirt <blockio>"},
    {"disk", "block_size", kBlockOfFile, "crosvm --block block-size="},
    {"disk", "logical_block_size", kBlockOfFile, "QEMU -device logical_block_size="},
    {"disk", "physical_block_size", kBlockOfFile, "QEMU -device physical_block_size="},
    {"disk", "error_policy", kErrorsToGuest, "libvirt <driver error_policy>"},
    {"disk", "rerror", kErrorsToGuest, "QEMU -drive rerror="},
    {"disk", "werror", kErrorsToGuest, "QEMU -drive werror="},
    {"disk", "queue_size", kOneQueueSize, "cloud-hypervisor --disk queue_size="},
    {"net", "queue_size", kOneQueueSize, "cloud-hypervisor --net queue_size="},
    {"share", "queue_size", kOneQueueSize, "cloud-hypervisor --fs queue_size="},
    {"share", "num_queues", kOneQueueSize, "cloud-hypervisor --fs num_queues="},
    {"share", "queues", kOneQueueSize, "plain"},
    {"share", "binary", kNoVirtiofsdOptions, "libvirt <binary>"},
    {"share", "cache", kNoVirtiofsdOptions, "QEMU virtiofsd cache=, crosvm --shared-dir cache="},
    {"share", "dax", kNoVirtiofsdOptions, "crosvm --shared-dir dax="},
    {"share", "driver", kNoVirtiofsdOptions, "libvirt <driver type>"},
    {"share", "posix_acl", kNoVirtiofsdOptions, "virtiofsd --posix-acl"},
    {"share", "sandbox", kNoVirtiofsdOptions, "virtiofsd --sandbox"},
    {"share", "socket", kNoVirtiofsdOptions, "cloud-hypervisor --fs socket="},
    {"share", "thread_pool", kNoVirtiofsdOptions, "libvirt <binary><thread_pool>"},
    {"share", "thread_pool_size", kNoVirtiofsdOptions, "virtiofsd --thread-pool-size"},
    {"share", "type", kNoVirtiofsdOptions, "libvirt <filesystem type>"},
    {"share", "xattr", kNoVirtiofsdOptions, "virtiofsd --xattr"},
    {"share", "id", kNoIds, "QEMU -fsdev id="},
    {"share", "mount", kGuestMounts, "plain"},
    {"share", "mount_point", kGuestMounts, "plain"},
    {"share", "mountpoint", kGuestMounts, "plain"},
    {"share", "accessmode", kOwnersStay, "libvirt <filesystem accessmode>"},
    {"share", "gid", kOwnersStay, "crosvm --shared-dir gid="},
    {"share", "gidmap", kOwnersStay, "crosvm --shared-dir gidmap="},
    {"share", "idmap", kOwnersStay, "libvirt <idmap>"},
    {"share", "security_model", kOwnersStay, "QEMU -virtfs security_model="},
    {"share", "uid", kOwnersStay, "crosvm --shared-dir uid="},
    {"share", "uidmap", kOwnersStay, "crosvm --shared-dir uidmap="},
    {"vsock", "port", kPortsOfPrograms, "plain"},
    {"vsock", "ports", kPortsOfPrograms, "plain"},
    {"vsock", "path", kRealVsock, "plain"},
    {"vsock", "socket", kRealVsock, "cloud-hypervisor --vsock socket="},
    {"vsock", "uds_path", kRealVsock, "Firecracker"},
    {"machine", "rng_source", kHostRandom, "cloud-hypervisor --rng src="},
    {"", "oem_strings", kNoSmbios, "cloud-hypervisor --platform oem_strings="},
    {"", "smbios", kNoSmbios, "QEMU -smbios, libvirt <smbios>"},
    {"", "sysinfo", kNoSmbios, "libvirt <sysinfo>"},
    {"machine", "oem_strings", kNoSmbios, "cloud-hypervisor --platform oem_strings="},
    {"machine", "smbios", kNoSmbios, "QEMU -smbios"},
    {kAnySection, "uuid", kNoSmbios, "QEMU -uuid, libvirt <uuid>"},
    {"net", "host_mac", kGuestsAddress, "cloud-hypervisor --net host_mac="},
    {"net", "csum", kNegotiated, "QEMU virtio-net-pci csum="},
    {"net", "offload_csum", kNegotiated, "cloud-hypervisor --net offload_csum="},
    {"net", "offload_tso", kNegotiated, "cloud-hypervisor --net offload_tso="},
    {"net", "offload_ufo", kNegotiated, "cloud-hypervisor --net offload_ufo="},
    {"net", "dhcp", kGuestAsks, "plain"},
    {"net", "host_ip", kGuestAsks, "crosvm --net host-ip="},
    {"net", "netmask", kGuestAsks, "crosvm --net netmask="},
    {"net", "iface_id", kNoIds, "Firecracker"},
    {"disk", "drive_id", kNoIds, "Firecracker"},
    {"disk", "io", kAio, "libvirt <driver io>"},
    {"disk", "io_engine", kAio, "Firecracker"},
    {"disk", "async_executor", kAio, "crosvm --block async-executor="},
    {"disk", "is_root_device", kRootOfGuest, "Firecracker"},
    {"disk", "root", kRootOfGuest, "crosvm --block root="},
    {kAnySection, "backing_file", kNoBacking, "qemu-img create -b"},
    {kAnySection, "backing_files", kNoBacking, "cloud-hypervisor --disk backing_files="},
    {"", "timeout", kNoTimeout, "plain"},
    {"machine", "timeout", kNoTimeout, "plain"},
    {"boot", "timeout", kNoMenu, "GRUB, systemd-boot"},
    {kAnySection, "on_crash", kNoCrashAction, "libvirt <on_crash>"},
    {kAnySection, "on_poweroff", kPowerOffEnds, "libvirt <on_poweroff>"},
    {kAnySection, "x_no_mmap", kAlwaysMapped, "QEMU vfio-pci x-no-mmap="},
    {kAnySection, "sriov", kHostMakesFunctions, "plain"},
    {kAnySection, "num_vfs", kHostMakesFunctions, "sysfs sriov_numvfs"},
    {kAnySection, "numvfs", kHostMakesFunctions, "sysfs sriov_numvfs"},
    {kAnySection, "sriov_numvfs", kHostMakesFunctions, "sysfs"},
    {kAnySection, "mdev", kNoMdev, "libvirt <hostdev type='mdev'>, Proxmox mdev="},
    {kAnySection, "iommufd", kOnlyGroups, "QEMU vfio-pci iommufd="},
    {kAnySection, "x_igd_opregion", kNoLegacyGraphics, "QEMU vfio-pci x-igd-opregion="},
    {kAnySection, "x_igd_gms", kNoLegacyGraphics, "QEMU vfio-pci x-igd-gms="},
    {kAnySection, "x_igd_lpc", kNoLegacyGraphics, "QEMU vfio-pci x-igd-lpc="},
    {kAnySection, "x_igd_legacy_mode", kNoLegacyGraphics, "QEMU vfio-pci x-igd-legacy-mode="},
    {kAnySection, "x_vga", kNoLegacyGraphics, "QEMU vfio-pci x-vga=, Proxmox x-vga="},
    {"", "audio", kNoSound, "QEMU -audio"},
    {"", "audiodev", kNoSound, "QEMU -audiodev"},
    {"", "sound", kNoSound, "libvirt <sound>"},
    {"", "display", kNoScreen, "QEMU -display"},
    {"", "graphics", kNoScreen, "libvirt <graphics>"},
    {"", "spice", kNoScreen, "QEMU -spice"},
    {"", "vga", kNoScreen, "QEMU -vga"},
    {"", "video", kNoScreen, "libvirt <video>"},
    {"", "vnc", kNoScreen, "QEMU -vnc"},
    {"", "usb", kNoUsb, "QEMU -usb, -device usb-host"},
    {"", "tpm", kNoTpm, "libvirt <tpm>, cloud-hypervisor --tpm"},
    {"", "monitor", kNoMonitor, "QEMU -monitor"},
    {"", "qmp", kNoMonitor, "QEMU -qmp"},
    {kAnySection, "balloon", kNoHotPlug, "cloud-hypervisor --balloon"},
    {kAnySection, "maxmem", kNoHotPlug, "QEMU -m maxmem="},
    {kAnySection, "max_memory", kNoHotPlug, "libvirt <maxMemory>"},
    {kAnySection, "maxmemory", kNoHotPlug, "libvirt <maxMemory>"},
    {kAnySection, "memballoon", kNoHotPlug, "libvirt <memballoon>"},
    {kAnySection, "locked", kLocked, "libvirt <locked>"},
    {kAnySection, "mem_lock", kLocked, "QEMU -overcommit mem-lock="},
    {kAnySection, "mlock", kLocked, "QEMU -realtime mlock="},
    {kAnySection, "prealloc", kLocked, "QEMU memory-backend prealloc="},
    {"machine", "accel", kOneMachine, "QEMU -accel"},
    {"machine", "machine", kOneMachine, "libvirt <type machine>"},
    {"machine", "type", kOneMachine, "QEMU -machine type="},
    {"cpu", "mode", kHostCpu, "libvirt <cpu mode>"},
    {"cpu", "model", kHostCpu, "libvirt <cpu><model>"},
    {"cpu", "type", kHostCpu, "plain"},
    {kAnySection, "sockets", kNoTopology, "QEMU -smp sockets="},
    {kAnySection, "threads", kNoTopology, "QEMU -smp threads="},
    {kAnySection, "topology", kNoTopology, "libvirt <topology>"},
    {"disk", "aio", kAio, "QEMU -drive aio="},
    {"disk", "bus", kVirtio, "libvirt <target bus>"},
    {"disk", "if", kVirtio, "QEMU -drive if="},
    {"disk", "interface", kVirtio, "QEMU -drive if="},
    {"net", "model", kVirtioCard, "QEMU -nic model=, libvirt <model>"},
    {"net", "vhost", kNoVhost, "QEMU -netdev tap,vhost="},
    {"net", "vhost_net", kNoVhost, "crosvm --net vhost-net"},
    {"net", "script", kNoScripts, "QEMU -netdev tap,script="},
    {"net", "downscript", kNoScripts, "QEMU -netdev tap,downscript="},
    {"net", "dhcpstart", kGuestAsks, "QEMU -netdev user,dhcpstart="},
    {"net", "dns", kGuestAsks, "QEMU -netdev user,dns="},
    {"net", "gateway", kGuestAsks, "plain"},
    {"net", "hostname", kGuestAsks, "QEMU -netdev user,hostname="},
    {"net", "ip", kGuestAsks, "cloud-hypervisor --net ip="},
    {"net", "mask", kGuestAsks, "cloud-hypervisor --net mask="},
    {"net", "net", kGuestAsks, "QEMU -netdev user,net="},
    {"net", "filterref", kHostFilters, "libvirt <filterref>"},
    {"net", "firewall", kHostFilters, "Proxmox net firewall="},
    {"net", "tag", kHostFilters, "Proxmox net tag="},
    {"net", "vlan", kHostFilters, "libvirt <vlan>"},
    {"net", "socket", kNoVhostUser, "cloud-hypervisor --net socket="},
    {"net", "vhost_user", kNoVhostUser, "cloud-hypervisor --net vhost_user="},
    {"net", "driver", kVirtioCard, "libvirt <driver>"},
    {"net", "id", kNoIds, "QEMU -netdev id="},
    {"disk", "id", kNoIds, "QEMU -drive id="},
    {"pci", "mac", kHostSetsFunction, "libvirt <interface type='hostdev'>"},
    {"pci", "vlan", kHostSetsFunction, "libvirt <interface type='hostdev'>"},
    {"pci", "driver", kAlwaysVfio, "libvirt <driver name='vfio'>"},
    {kAnySection, "iommu", kNoGuestIommu, "libvirt <iommu>, cloud-hypervisor iommu="},
    {kAnySection, "viommu", kNoGuestIommu, "Proxmox machine viommu="},
    {"pci", "pcie", kAlwaysExpress, "Proxmox hostpci pcie="},
    {"pci", "display", kNoScreen, "QEMU vfio-pci display="},
    {kAnySection, "enable_kvm", kAlwaysKvm, "QEMU -enable-kvm"},
    {"", "accel", kAlwaysKvm, "QEMU -accel"},
    {"", "daemonize", kForeground, "QEMU -daemonize"},
    {"", "pidfile", kForeground, "QEMU -pidfile"},
    {"", "api_socket", kNoMonitor, "cloud-hypervisor --api-socket"},
    {kAnySection, "events", kIsOption, "gpuvm run --events"},
    {kAnySection, "inspect_file", kIsOption, "gpuvm run --inspect-file"},
    {kAnySection, "log_file", kIsOption, "gpuvm run --log-file"},
    {"pci", "count", kOneCardEach, "docker compose devices: count:"},
    {"pci", "number", kOneCardEach, "plain"},
    {kAnySection, "wait", kWaitIsOption, "gpuvm run --wait"},
    {"boot", "root", kRootOfGuest, "Linux"},
    {"boot", "rootfs", kRootOfGuest, "plain"},
    {"boot", "secure", kNoSecureBoot, "libvirt <loader secure>"},
    {kAnySection, "secure_boot", kNoSecureBoot, "plain"},
    {kAnySection, "maxcpus", kNoCpuPlug, "QEMU -smp maxcpus="},
    {kAnySection, "max_cpus", kNoCpuPlug, "plain"},
    {kAnySection, "max_vcpus", kNoCpuPlug, "cloud-hypervisor API max_vcpus"},
};

}  // namespace

std::span<const ForeignThing> foreign_things() {
  return kThings;
}

}  // namespace gpuvm::config
