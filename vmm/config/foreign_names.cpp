// SPDX-License-Identifier: Apache-2.0
// The sources are options of QEMU (qemu(1)), elements of libvirt's domain XML, options of
// cloud-hypervisor, and "plain" for words that people try without having them from anywhere.
#include "vmm/config/foreign_names.hpp"

namespace gpuvm::config {
namespace {

constexpr ForeignName kNames[] = {
    {"", "guest_name", "name", "plain"},
    {"", "hostname", "name", "plain"},
    {"", "title", "name", "libvirt <title>"},
    {"", "vm_name", "name", "plain"},
    {kAnySection, "name", "name", "QEMU -name, libvirt <name>"},

    // [[node]], before the names of [machine] that hold in any section.
    {"", "cell", "[[node]]", "libvirt <numa><cell>"},
    {"", "numa", "[[node]]", "QEMU -numa, libvirt <numa>, cloud-hypervisor --numa"},
    {"cpu", "numa", "[[node]]", "libvirt <cpu><numa>"},
    {"machine", "numa", "[[node]]", "QEMU -numa"},
    {"node", "host", "node.host_node", "plain"},
    {"node", "host_nodes", "node.host_node", "QEMU memory-backend host-nodes="},
    {"node", "mem", "node.memory", "QEMU -numa mem="},
    {"node", "nodeset", "node.host_node", "libvirt <memnode nodeset>"},
    {"node", "size", "node.memory", "QEMU memory-backend size="},
    {"node", "vcpus", "node.cpus", "plain"},

    // [machine]
    {kAnySection, "affinity", "machine.pin", "cloud-hypervisor --cpus affinity="},
    {kAnySection, "boot_vcpus", "machine.cpus", "cloud-hypervisor API boot_vcpus"},
    {kAnySection, "cores", "machine.cpus", "QEMU -smp cores="},
    {kAnySection, "cpu_count", "machine.cpus", "plain"},
    {kAnySection, "cpus", "machine.cpus", "QEMU -smp cpus=, cloud-hypervisor --cpus"},
    {kAnySection, "cputune", "machine.pin", "libvirt <cputune>"},
    {kAnySection, "hugepage_size", "machine.hugepages", "cloud-hypervisor hugepage_size="},
    {kAnySection, "huge_page_size", "machine.hugepages", "plain"},
    {kAnySection, "huge_pages", "machine.hugepages", "plain"},
    {kAnySection, "hugetlb", "machine.hugepages", "QEMU memory-backend hugetlb="},
    {kAnySection, "mem", "machine.memory", "QEMU -m mem, cloud-hypervisor --memory"},
    {kAnySection, "memory", "machine.memory", "libvirt <memory>"},
    {kAnySection, "memorybacking", "machine.hugepages", "libvirt <memoryBacking>"},
    {kAnySection, "memory_size", "machine.memory", "plain"},
    {kAnySection, "no_reboot", "machine.on_reboot", "QEMU -no-reboot"},
    {kAnySection, "ram", "machine.memory", "plain"},
    {"machine", "backing", "machine.hugepages", "libvirt <memoryBacking>"},
    {"node", "backing", "machine.hugepages", "libvirt <memoryBacking>"},
    {kAnySection, "smp", "machine.cpus", "QEMU -smp"},
    {kAnySection, "vcpu", "machine.cpus", "libvirt <vcpu>"},
    {kAnySection, "vcpupin", "machine.pin", "libvirt <vcpupin>"},
    {kAnySection, "vcpus", "machine.cpus", "plain"},
    {"cpu", "boot", "machine.cpus", "cloud-hypervisor --cpus boot="},
    {"cpu", "count", "machine.cpus", "plain"},
    {"machine", "count", "machine.cpus", "plain"},
    {"machine", "reboot", "machine.on_reboot", "QEMU -action reboot="},
    {"machine", "size", "machine.memory", "cloud-hypervisor --memory size="},

    // [cpu]
    {kAnySection, "hidden", "cpu.hide_hypervisor", "libvirt <kvm><hidden>"},
    {kAnySection, "hv_vendor_id", "cpu.hyperv_vendor_id", "QEMU -cpu hv-vendor-id="},
    {kAnySection, "kvm_hidden", "cpu.hide_hypervisor", "libvirt <kvm><hidden>"},
    {"cpu", "disable", "cpu.hide", "libvirt <feature policy='disable'>"},
    {"cpu", "enlightenments", "cpu.hyperv", "QEMU's manual"},
    {"cpu", "features", "cpu.hide", "libvirt <feature>"},
    {"cpu", "hide_kvm", "cpu.hide_hypervisor", "plain"},
    {"cpu", "kvm", "cpu.hide_hypervisor", "QEMU -cpu kvm="},
    {"cpu", "vendor", "cpu.hyperv_vendor_id", "plain"},
    {"cpu", "vendor_id", "cpu.hyperv_vendor_id", "libvirt <hyperv><vendor_id>"},

    // [[pci]], before the names of [boot] that hold in any section.
    {"", "device", "[[pci]]", "QEMU -device, cloud-hypervisor --device"},
    {"", "devices", "[[pci]]", "libvirt <devices>"},
    {"", "gpu", "[[pci]]", "plain"},
    {"", "gpus", "[[pci]]", "plain"},
    {"", "hostdev", "[[pci]]", "libvirt <hostdev>"},
    {"", "passthrough", "[[pci]]", "plain"},
    {"", "user_device", "pci.socket", "cloud-hypervisor --user-device"},
    {"", "vfio", "[[pci]]", "QEMU -device vfio-pci"},
    {"", "vfio_pci", "[[pci]]", "QEMU -device vfio-pci"},
    {"", "vfio_user", "pci.socket", "QEMU -device vfio-user-pci"},
    {"pci", "addr", "pci.host", "QEMU -device addr="},
    {"pci", "address", "pci.host", "libvirt <address>"},
    {"pci", "bdf", "pci.host", "plain"},
    {"pci", "bios", "pci.rom", "plain"},
    {"pci", "bus", "pci.port", "QEMU -device bus="},
    {"pci", "class_code", "pci.class", "QEMU vfio-pci x-pci-class-code="},
    {"pci", "clique", "pci.gpudirect_clique", "QEMU vfio-pci x-nv-gpudirect-clique="},
    {"pci", "device", "pci.host", "plain"},
    {"pci", "multifunction", "pci.functions", "QEMU -device multifunction="},
    {"pci", "path", "pci.host", "cloud-hypervisor --device path="},
    {"pci", "path", "pci.socket", "cloud-hypervisor --user-device socket="},
    {"pci", "bar_size", "pci.resize_bar", "plain"},
    {"pci", "rebar", "pci.resize_bar", "plain"},
    {"pci", "resizable_bar", "pci.resize_bar", "plain"},
    {"pci", "token", "pci.vf_token", "plain"},
    {"pci", "reset_method", "pci.reset", "sysfs reset_method"},
    {"pci", "timeout", "pci.reset_wait", "plain"},
    {"pci", "romfile", "pci.rom", "QEMU vfio-pci romfile="},
    {"pci", "rombar", "pci.rom", "QEMU vfio-pci rombar="},
    {"pci", "rom_bar", "pci.rom", "libvirt <rom bar>"},
    {"pci", "rom_file", "pci.rom", "libvirt <rom file>"},
    {"pci", "root_port", "pci.port", "QEMU -device pcie-root-port"},
    {"pci", "slot", "pci.host", "libvirt <address slot>"},
    {"pci", "socket_path", "pci.socket", "plain"},
    {"pci", "source", "pci.host", "libvirt <source>"},
    {"pci", "subsystem_device_id", "pci.sub_device_id", "PCI specification"},
    {"pci", "subsystem_id", "pci.sub_device_id", "PCI specification"},
    {"pci", "subsystem_vendor_id", "pci.sub_vendor_id", "PCI specification"},
    {"pci", "sysfsdev", "pci.host", "QEMU vfio-pci sysfsdev="},
    {"pci", "vbios", "pci.rom", "plain"},
    {"pci", "x_msix_relocation", "pci.msix_relocation", "QEMU vfio-pci x-msix-relocation="},
    {"pci", "x_nv_gpudirect_clique", "pci.gpudirect_clique", "QEMU vfio-pci"},
    {"pci", "x_pci_class_code", "pci.class", "QEMU vfio-pci x-pci-class-code="},
    {"pci", "x_pci_device_id", "pci.device_id", "QEMU vfio-pci x-pci-device-id="},
    {"pci", "x_pci_sub_device_id", "pci.sub_device_id", "QEMU vfio-pci x-pci-sub-device-id="},
    {"pci", "x_pci_sub_vendor_id", "pci.sub_vendor_id", "QEMU vfio-pci x-pci-sub-vendor-id="},
    {"pci", "x_pci_vendor_id", "pci.vendor_id", "QEMU vfio-pci x-pci-vendor-id="},

    // [[disk]]
    {"", "blockdev", "[[disk]]", "QEMU -blockdev"},
    {"", "cdrom", "[[disk]]", "QEMU -cdrom"},
    {"", "drive", "[[disk]]", "QEMU -drive"},
    {"", "drives", "[[disk]]", "QEMU -drive"},
    {"", "hda", "[[disk]]", "QEMU -hda"},
    {kAnySection, "bootindex", "disk.boot", "QEMU -device bootindex="},
    {"boot", "dev", "disk.boot", "libvirt <boot dev>"},
    {"boot", "order", "disk.boot", "QEMU -boot order="},
    {"disk", "dev", "disk.path", "libvirt <source dev>"},
    {"disk", "device", "disk.path", "plain"},
    {"disk", "file", "disk.path", "QEMU -drive file=, libvirt <source file>"},
    {"disk", "filename", "disk.path", "QEMU -blockdev filename="},
    {"disk", "image", "disk.path", "plain"},
    {"disk", "img", "disk.path", "plain"},
    {"disk", "ro", "disk.readonly", "plain"},
    {"disk", "source", "disk.path", "libvirt <source>"},

    // [[net]]
    {"", "iface", "[[net]]", "plain"},
    {"", "interface", "[[net]]", "libvirt <interface>"},
    {"", "netdev", "[[net]]", "QEMU -netdev"},
    {"", "network", "[[net]]", "plain"},
    {"", "nic", "[[net]]", "QEMU -nic"},
    {kAnySection, "hostfwd", "net.forward", "QEMU -netdev user,hostfwd="},
    {kAnySection, "macaddr", "net.mac", "QEMU -device mac=, Xen"},
    {"net", "address", "net.mac", "libvirt <mac address>"},
    {"net", "br", "net.bridge", "QEMU -netdev bridge,br="},
    {"net", "dev", "net.tap", "libvirt <target dev>"},
    {"net", "ifname", "net.tap", "QEMU -netdev tap,ifname="},
    {"net", "mac_address", "net.mac", "plain"},
    {"net", "portforward", "net.forward", "libvirt <portForward>"},
    {"net", "ports", "net.forward", "plain"},
    {"net", "source", "net.bridge", "libvirt <source bridge>"},
    {"net", "target", "net.tap", "libvirt <target dev>"},
    {"net", "type", "net.mode", "libvirt <interface type>"},

    // [boot]
    {"", "os", "[boot]", "libvirt <os>"},
    {"", "payload", "[boot]", "cloud-hypervisor API payload"},
    {kAnySection, "append", "boot.cmdline", "QEMU -append"},
    {kAnySection, "bios", "boot.firmware", "QEMU -bios"},
    {kAnySection, "command_line", "boot.cmdline", "plain"},
    {kAnySection, "initramfs", "boot.initrd", "cloud-hypervisor --initramfs"},
    {kAnySection, "initrd_file", "boot.initrd", "plain"},
    {kAnySection, "kernel_cmdline", "boot.cmdline", "plain"},
    {kAnySection, "loader", "boot.firmware", "libvirt <loader>"},
    {kAnySection, "nvram", "boot.vars", "libvirt <nvram>"},
    {kAnySection, "ovmf", "boot.firmware", "plain"},
    {kAnySection, "pflash", "boot.firmware", "QEMU -drive if=pflash"},
    {"boot", "args", "boot.cmdline", "plain"},
    {"boot", "bootargs", "boot.cmdline", "device tree"},
    {"boot", "bzimage", "boot.kernel", "Linux"},
    {"boot", "code", "boot.firmware", "the name of OVMF's file"},
    {"boot", "efivars", "boot.vars", "Linux"},
    {"boot", "image", "boot.kernel", "plain"},
    {"boot", "kernel_args", "boot.cmdline", "plain"},
    {"boot", "path", "boot.kernel", "plain"},
    {"boot", "nvram_template", "boot.vars_template", "libvirt <nvram template>"},
    {"boot", "ramdisk", "boot.initrd", "plain"},
    {"boot", "template", "boot.vars_template", "libvirt <nvram template>"},
    {"boot", "type", "boot.mode", "plain"},
    {"boot", "uefi", "boot.mode", "plain"},
    {"boot", "vmlinuz", "boot.kernel", "Linux"},

    // [[fw_cfg]]
    {"fw_cfg", "data", "fw_cfg.value", "plain"},
    {"fw_cfg", "file", "fw_cfg.value", "QEMU -fw_cfg file="},
    {"fw_cfg", "string", "fw_cfg.value", "QEMU -fw_cfg string="},

    // [console]
    {"", "chardev", "console.serial", "QEMU -chardev"},
    {"", "tty", "console.serial", "plain"},
    {"", "uart", "console.serial", "plain"},
    {"console", "file", "console.serial", "cloud-hypervisor --serial file="},
    {"console", "log", "console.serial", "libvirt <log>"},
    {"console", "mode", "console.serial", "cloud-hypervisor API mode"},
    {"console", "output", "console.serial", "plain"},
    {"console", "path", "console.serial", "libvirt <source path>"},
    {"console", "pty", "console.serial", "cloud-hypervisor --serial pty"},
    {"console", "socket", "console.serial", "cloud-hypervisor --serial socket="},
    {"console", "stdio", "console.serial", "QEMU -serial stdio"},
    {"console", "type", "console.serial", "libvirt <console type>"},
};

constexpr std::string_view kNoScreen =
    "gpuvm has no emulated screen: the guest's is that of a GPU passed through as [[pci]]";
constexpr std::string_view kNoSound =
    "gpuvm has no emulated sound card: pass one through as [[pci]]";
constexpr std::string_view kNoFolders =
    "gpuvm shares no folders with the guest: put the files on a [[disk]]";
constexpr std::string_view kNoHotPlug =
    "the memory of a guest is always machine.memory: remove this key";
constexpr std::string_view kLocked =
    "with a [[pci]] all memory is allocated and locked anyway: remove this key";
constexpr std::string_view kOneMachine = "there is one kind of machine only: remove this key";
constexpr std::string_view kHostCpu =
    "the guest has the host's processor: cpu.hide takes features away, else remove this key";
constexpr std::string_view kNoTopology = "each vCPU is a core of its own: set machine.cpus";
constexpr std::string_view kOnlyRaw =
    "gpuvm takes only raw images: convert others with qemu-img convert -O raw OLD NEW, and remove "
    "this key";
constexpr std::string_view kCache =
    "disks go through the host's page cache, and a guest's flush reaches the storage: remove this "
    "key";
constexpr std::string_view kVirtio = "all disks are virtio block devices: remove this key";
constexpr std::string_view kVirtioCard =
    "all network cards of [[net]] are virtio ones: remove this key";
constexpr std::string_view kNoUsb =
    "gpuvm passes no single USB devices through: pass their controller through as [[pci]]";
constexpr std::string_view kNoTpm = "gpuvm has no TPM: remove this section";
constexpr std::string_view kNoMonitor =
    "gpuvm has no monitor: \"gpuvm run --events FILE\" tells what happens to the guest";

constexpr std::string_view kNoVsock =
    "gpuvm has no vsock: reach the guest by its serial port, [console], or by a network, [[net]]";
constexpr std::string_view kNoCloudInit =
    "gpuvm makes no cloud-init image: make one, for instance with cloud-localds, and name it as a "
    "[[disk]]";
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
    "a guest that crashes resets itself (panic=1 in boot.cmdline): machine.on_reboot says what "
    "follows; remove this key";
constexpr std::string_view kPowerOffEnds =
    "a guest that powers off ends the run with status 0: remove this key";
constexpr std::string_view kAlwaysMapped =
    "gpuvm maps the BARs that can be mapped, and there is no way to keep it from that: remove this "
    "key";
constexpr std::string_view kHostMakesFunctions =
    "virtual functions are made on the host (echo N > /sys/bus/pci/devices/BDF/sriov_numvfs): name "
    "one as pci.host";

constexpr ForeignThing kThings[] = {
    {kAnySection, "vsock", kNoVsock, "cloud-hypervisor --vsock, QEMU vhost-vsock-pci"},
    {kAnySection, "cloud_init", kNoCloudInit, "Proxmox"},
    {kAnySection, "cloudinit", kNoCloudInit, "Proxmox"},
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
    {"", "filesystem", kNoFolders, "libvirt <filesystem>"},
    {"", "fs", kNoFolders, "cloud-hypervisor --fs"},
    {"", "fsdev", kNoFolders, "QEMU -fsdev"},
    {"", "virtfs", kNoFolders, "QEMU -virtfs"},
    {"", "virtiofs", kNoFolders, "QEMU vhost-user-fs-pci"},
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
    {"disk", "driver", kOnlyRaw, "libvirt <driver>"},
    {"disk", "format", kOnlyRaw, "QEMU -drive format="},
    {"disk", "image_type", kOnlyRaw, "cloud-hypervisor --disk image_type="},
    {"disk", "type", kOnlyRaw, "libvirt <driver type>"},
    {"disk", "aio", kCache, "QEMU -drive aio="},
    {"disk", "cache", kCache, "QEMU -drive cache="},
    {"disk", "direct", kCache, "cloud-hypervisor --disk direct="},
    {"disk", "bus", kVirtio, "libvirt <target bus>"},
    {"disk", "if", kVirtio, "QEMU -drive if="},
    {"disk", "interface", kVirtio, "QEMU -drive if="},
    {"net", "model", kVirtioCard, "QEMU -nic model=, libvirt <model>"},
};

}  // namespace

std::span<const ForeignName> foreign_names() {
  return kNames;
}

std::span<const ForeignThing> foreign_things() {
  return kThings;
}

}  // namespace gpuvm::config
