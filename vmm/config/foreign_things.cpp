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
    "gpuvm has no monitor: \"gpuvm run --events FILE\" tells what happens to the guest";

constexpr std::string_view kCloudInitFiles =
    "cloud-init's files are named in a section of their own, [cloud_init]: user_data, meta_data "
    "and "
    "network_config";
constexpr std::string_view kNoBacking =
    "raw images have no backing file: make a copy (cp --reflink=auto BASE COPY), name it as path, "
    "and remove this key";
constexpr std::string_view kNoTimeout =
    "gpuvm sets a guest no time limit: start it by `timeout --foreground`, and remove this key";
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
    "VLANs, filters and limits belong to the host's tap and bridge (ip, nft, tc): remove this key";
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
constexpr std::string_view kRootOfGuest =
    "name the guest's root in boot.cmdline (\"root=/dev/vda1\"), its image as a [[disk]], and "
    "remove this key";
constexpr std::string_view kNoSecureBoot = "gpuvm has no Secure Boot: remove this key";
constexpr std::string_view kNoCpuPlug =
    "vCPUs are not plugged: the guest always has machine.cpus of them; remove this key";

constexpr ForeignThing kThings[] = {
    {kAnySection, "cloud_init", kCloudInitFiles, "Proxmox"},
    {kAnySection, "cloudinit", kCloudInitFiles, "Proxmox"},
    {"disk", "backing", kNoBacking, "QEMU -blockdev backing="},
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
    {"net", "bandwidth", kHostFilters, "libvirt <bandwidth>"},
    {"net", "filterref", kHostFilters, "libvirt <filterref>"},
    {"net", "firewall", kHostFilters, "Proxmox net firewall="},
    {"net", "rate", kHostFilters, "Proxmox net rate="},
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
