// SPDX-License-Identifier: Apache-2.0
// Domains of libvirt, element by element; tests/golden/convert has whole ones.
#include "tests/unit/vmm/convert/convert_test_support.hpp"

namespace gpuvm::domain_test {
namespace {

using test::config_of;
using test::converted;
using test::refusal;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string domain(std::string_view inside) {
  return fmt::format(
      "<domain type='kvm'>\n<name>guest</name><vcpu>4</vcpu>"
      "<memory unit='GiB'>4</memory>\n{}\n</domain>\n",
      inside);
}

std::string with_devices(std::string_view devices) {
  return domain(fmt::format("<devices>\n{}\n</devices>", devices));
}

std::string hostdev(unsigned bus, unsigned slot, unsigned function, std::string_view inside = "") {
  return fmt::format(
      "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' "
      "bus='{:#04x}' slot='{:#04x}' function='{:#x}'/></source>{}</hostdev>\n",
      bus, slot, function, inside);
}

TEST(Domain, HasNameProcessorsAndMemory) {
  const auto config = config_of(domain(""));
  EXPECT_EQ(config.name, "guest");
  EXPECT_EQ(config.machine.cpus, 4U);
  EXPECT_EQ(config.machine.memory, 4_GiB);
}

TEST(Domain, NameBecomesOneOfOurs) {
  const auto text =
      converted("<domain><name>Win 11</name><vcpu>1</vcpu><memory>1048576</memory></domain>");
  EXPECT_THAT(text, HasSubstr("name = \"win-11\""));
  EXPECT_THAT(text, HasSubstr("# name Win 11:"));
}

TEST(Domain, MemoryHasUnits) {
  const std::pair<std::string, std::string> sizes[] = {
      {"<memory>2097152</memory>", "2GiB"},  // KiB go without saying
      {"<memory unit='bytes'>1073741824</memory>", "1GiB"},
      {"<memory unit='M'>1536</memory>", "1536MiB"},
      {"<memory unit='MB'>4000</memory>", "3816MiB"},  // upwards, in steps of 2 MiB
      {"<memory unit='TiB'>1</memory>", "1024GiB"},
      {"<memory unit='KiB'>1000</memory>", "128MiB"}};  // the least
  for (const auto& [element, size] : sizes) {
    EXPECT_THAT(converted("<domain><name>g</name><vcpu>1</vcpu>" + element + "</domain>"),
                HasSubstr("memory = \"" + size + '"'))
        << element;
  }
}

TEST(Domain, FunctionsOfASlotAreOneSection) {
  const auto config = config_of(with_devices(hostdev(1, 0, 0) + hostdev(1, 0, 1)));
  ASSERT_EQ(config.pci.size(), 1U);
  EXPECT_EQ(config.pci[0].host.to_string(), "0000:01:00.0");
  EXPECT_THAT(config.pci[0].functions, ElementsAre(0, 1));
  EXPECT_TRUE(config.pci[0].managed);
  EXPECT_FALSE(config.pci[0].port);  // one slot needs no number of a port
}

TEST(Domain, AFunctionWithKeysOfItsOwnGetsASection) {
  const auto config =
      config_of(with_devices(hostdev(1, 0, 0, "<rom file='/gpu.rom'/>") +
                             hostdev(1, 0, 1, "<rom bar='off'/>") + hostdev(1, 0, 2)));
  ASSERT_EQ(config.pci.size(), 2U);
  EXPECT_THAT(config.pci[0].functions, ElementsAre(0, 2));
  EXPECT_EQ(config.pci[0].rom.path, "/gpu.rom");
  EXPECT_THAT(config.pci[1].functions, ElementsAre(1));
  EXPECT_EQ(config.pci[1].rom.mode, PciRomMode::kOff);
}

TEST(Domain, KeysBelongToTheFunctionThatHostNames) {
  const auto config =
      config_of(with_devices(hostdev(1, 0, 0) + hostdev(1, 0, 3, "<rom file='/usb.rom'/>")));
  ASSERT_EQ(config.pci.size(), 1U);
  EXPECT_EQ(config.pci[0].host.to_string(), "0000:01:00.3");
  EXPECT_THAT(config.pci[0].functions, ElementsAre(0, 3));
}

TEST(Domain, BusesAreRootPorts) {
  const auto config = config_of(
      with_devices(hostdev(1, 0, 0, "<address type='pci' bus='0x06' slot='0x00' function='0x0'/>") +
                   hostdev(2, 0, 0, "<address type='pci' bus='0x07' slot='0x00' function='0x0'/>") +
                   hostdev(3, 0, 0)));
  ASSERT_EQ(config.pci.size(), 3U);
  EXPECT_EQ(config.pci[0].port, 0);
  EXPECT_EQ(config.pci[1].port, 1);
  EXPECT_FALSE(config.pci[2].port);
}

TEST(Domain, ManagedIsNoUnlessItIsSaid) {
  const auto config =
      config_of(with_devices("<hostdev type='pci'><source><address bus='0x01' slot='0x00' "
                             "function='0x0'/></source></hostdev>"));
  ASSERT_EQ(config.pci.size(), 1U);
  EXPECT_FALSE(config.pci[0].managed);
}

TEST(Domain, QemusPropertiesReachTheirFunction) {
  const auto config = config_of(domain(
      "<devices>" + hostdev(1, 0, 0, "<alias name='ua-one'/>") + hostdev(2, 0, 0) +
      "</devices><qemu:override><qemu:device alias='ua-one'><qemu:frontend>"
      "<qemu:property name='x-msix-relocation' type='string' value='bar2'/>"
      "</qemu:frontend></qemu:device></qemu:override><qemu:commandline>"
      "<qemu:arg value='-set'/><qemu:arg value='device.hostdev1.x-pci-sub-vendor-id=0x1028'/>"
      "</qemu:commandline>"));
  ASSERT_EQ(config.pci.size(), 2U);
  EXPECT_EQ(config.pci[0].msix_relocation, PciMsixRelocation::kBar2);
  EXPECT_EQ(config.pci[1].identity.sub_vendor_id, 0x1028);
}

TEST(Domain, ProcessorIsHiddenAsItSays) {
  const auto config = config_of(
      domain("<features><kvm><hidden state='on'/></kvm><hyperv><relaxed state='on'/>"
             "<vendor_id state='on' value='0123456789ab'/></hyperv></features>"
             "<cpu mode='host-passthrough'><feature policy='disable' name='sse4.1'/></cpu>"));
  EXPECT_TRUE(config.cpu.hide_hypervisor);
  EXPECT_EQ(config.cpu.hyperv_vendor_id, "0123456789ab");
  EXPECT_THAT(config.cpu.hyperv, ElementsAre("relaxed"));
  EXPECT_THAT(config.cpu.hide, ElementsAre("sse4_1"));
}

TEST(Domain, PinsEachVcpuOrNone) {
  const auto pins = [](unsigned count) {
    std::string text = "<cputune>";
    for (unsigned i = 0; i < count; ++i) {
      text += fmt::format("<vcpupin vcpu='{}' cpuset='{}'/>", i, i + 8);
    }
    return domain(text + "</cputune>");
  };
  EXPECT_THAT(config_of(pins(4)).machine.pin, ElementsAre(8U, 9U, 10U, 11U));
  EXPECT_THAT(converted(pins(3)), HasSubstr("# pinning: machine.pin has a CPU"));
}

TEST(Domain, CellsAreNodes) {
  const auto config =
      config_of(domain("<numatune><memnode cellid='1' nodeset='3'/></numatune><cpu><numa>"
                       "<cell id='0' cpus='0-1' memory='2' unit='GiB'/>"
                       "<cell id='1' cpus='2,3' memory='2' unit='GiB'/></numa></cpu>"));
  ASSERT_EQ(config.nodes.size(), 2U);
  EXPECT_THAT(config.nodes[1].cpus, ElementsAre(2U, 3U));
  EXPECT_EQ(config.nodes[1].host_node, 3U);
  EXPECT_FALSE(config.nodes[0].host_node);
  EXPECT_EQ(config.machine.memory, 4_GiB);
}

TEST(Domain, CellsWithoutAMemnodeHaveTheNodeOfAll) {
  const auto config = config_of(
      domain("<numatune><memory mode='strict' nodeset='1'/><memnode cellid='1' nodeset='3'/>"
             "</numatune><cpu><numa><cell id='0' cpus='0-1' memory='2' unit='GiB'/>"
             "<cell id='1' cpus='2,3' memory='2' unit='GiB'/></numa></cpu>"));
  ASSERT_EQ(config.nodes.size(), 2U);
  EXPECT_EQ(config.nodes[0].host_node, 1U);
  EXPECT_EQ(config.nodes[1].host_node, 3U);
}

TEST(Domain, DisksFromElsewhereShowWhereTheyWere) {
  const auto text = converted(with_devices(
      "<disk type='network' device='disk'><source protocol='rbd' name='pool/a'>"
      "<host name='store'/></source><target dev='vda'/></disk>"
      "<disk type='nvme' device='disk'><driver name='qemu' type='raw'/>"
      "<source type='pci' namespace='1'><address domain='0x0000' bus='0x03' slot='0x00' "
      "function='0x0'/></source><target dev='vdb'/></disk>"));
  EXPECT_THAT(text, HasSubstr("# <source protocol='rbd' name='pool/a'><host name='store'> (line"));
  EXPECT_THAT(text, HasSubstr("QEMU drives this NVMe disk itself"));
  EXPECT_THAT(text, HasSubstr("bus='0x03'"));
}

TEST(Domain, AnImageWithoutATypeIsRawAndToldSo) {
  const auto disk = [](std::string_view file) {
    return with_devices(
        fmt::format("<disk type='file' device='disk'><driver name='qemu'/>"
                    "<source file='{}'/><target dev='vda' bus='virtio'/></disk>",
                    file));
  };
  EXPECT_THAT(converted(disk("/a.qcow2")),
              HasSubstr("libvirt takes an image without a type as raw"));
  EXPECT_THAT(converted(disk("/a.img")), Not(HasSubstr("without a type")));
}

TEST(Domain, ARootOfAnotherControllerIsTold) {
  const auto guest = [](std::string_view cmdline, std::string_view devices) {
    return domain(
        fmt::format("<os><type>hvm</type><kernel>/k</kernel><cmdline>{}</cmdline></os>"
                    "<devices>{}</devices>",
                    cmdline, devices));
  };
  constexpr std::string_view kDisk =
      "<disk type='block' device='disk'><driver type='raw'/><source dev='/dev/sdb'/>"
      "<target dev='sda' bus='sata'/></disk>";
  EXPECT_THAT(converted(guest("ro root=/dev/sda2", kDisk)),
              HasSubstr("# root=/dev/sda2: each [[disk]] is a virtio block device"));
  EXPECT_THAT(converted(guest("root=/dev/vda2", kDisk)), Not(HasSubstr("# root=")));
  // The disk of a controller that the guest has keeps its name.
  EXPECT_THAT(converted(guest("root=/dev/nvme0n1p2", "")), Not(HasSubstr("# root=")));
}

TEST(Domain, CellsThatLeaveOutAVcpuAreComments) {
  const auto text =
      converted(domain("<cpu><numa><cell id='0' cpus='0-1' memory='4' unit='GiB'/></numa></cpu>"));
  EXPECT_THAT(text, HasSubstr("# [[node]]"));
}

TEST(Domain, FirmwareIsTheDomainsOrDebians) {
  const auto with =
      config_of(domain("<os><loader type='pflash'>/f/CODE.fd</loader>"
                       "<nvram template='/f/VARS.fd'>/v/guest.fd</nvram></os>"));
  EXPECT_EQ(with.boot.mode, BootMode::kUefi);
  EXPECT_EQ(with.boot.firmware, "/f/CODE.fd");
  EXPECT_EQ(with.boot.vars, "/v/guest.fd");
  EXPECT_EQ(with.boot.vars_template, "/f/VARS.fd");
  const auto without = converted(domain("<os><type>hvm</type></os>"));
  EXPECT_THAT(without, HasSubstr("firmware = \"/usr/share/OVMF/OVMF_CODE_4M.fd\""));
  EXPECT_THAT(without, HasSubstr("# firmware: none is named, or a BIOS"));
}

TEST(Domain, AKernelNeedsNoFirmware) {
  const auto config =
      config_of(domain("<os><kernel>/boot/vmlinuz</kernel><initrd>/i</initrd><cmdline>root=/dev/"
                       "vda1 q=\"a\"</cmdline></os>"));
  EXPECT_EQ(config.boot.mode, BootMode::kLinux);
  EXPECT_EQ(config.boot.kernel, "/boot/vmlinuz");
  EXPECT_EQ(config.boot.cmdline, "root=/dev/vda1 q=\"a\"");
}

TEST(Domain, DisksKeepWhatTheyAre) {
  const auto config = config_of(with_devices(
      "<disk device='disk'><driver type='qcow2' cache='none' discard='ignore'/><source file='/a'/>"
      "<target bus='virtio'/></disk><disk device='disk'><source dev='/dev/b'/><target "
      "bus='virtio'/>"
      "<serial>root</serial><readonly/><boot order='1'/></disk>"));
  ASSERT_EQ(config.disks.size(), 2U);
  EXPECT_EQ(config.disks[0].format, DiskFormat::kQcow2);
  EXPECT_EQ(config.disks[0].cache, DiskCache::kNone);
  EXPECT_FALSE(config.disks[0].discard);
  EXPECT_FALSE(config.disks[0].boot);
  EXPECT_EQ(config.disks[1].serial, "root");
  EXPECT_TRUE(config.disks[1].read_only);
  EXPECT_TRUE(config.disks[1].boot);
}

TEST(Domain, BootDevicesOrderDisks) {
  const std::string devices =
      "<devices><disk device='cdrom'><source file='/cd'/></disk>"
      "<disk device='disk'><source file='/hd'/></disk></devices>";
  const auto from_cd = config_of(domain("<os><boot dev='cdrom'/><boot dev='hd'/></os>" + devices));
  EXPECT_TRUE(from_cd.disks.at(0).boot);
  const auto from_disk = config_of(domain("<os><boot dev='hd'/></os>" + devices));
  EXPECT_TRUE(from_disk.disks.at(1).boot);
}

TEST(Domain, OtherBusesAndCachesAreTold) {
  const auto text = converted(with_devices(
      "<disk device='disk'><driver type='raw' cache='writethrough'/><source file='/a'/>"
      "<target bus='sata'/></disk>"));
  EXPECT_THAT(text, HasSubstr("# disk /a on sata (line 4): the disk is a virtio block device"));
  EXPECT_THAT(text, HasSubstr("# cache=writethrough"));
}

TEST(Domain, NetworksGoWhereTheyWent) {
  const auto config = config_of(with_devices(
      "<interface type='bridge'><mac address='C6:F4:35:F8:98:C9'/><source "
      "bridge='br0'/></interface>"
      "<interface type='network'><source network='default'/></interface>"
      "<interface type='user'><portForward proto='tcp'><range start='2222' to='22'/></portForward>"
      "</interface>"
      "<interface type='ethernet'><target dev='vm0' managed='no'/></interface>"));
  ASSERT_EQ(config.nets.size(), 4U);
  EXPECT_EQ(config.nets[0].bridge, "br0");
  EXPECT_EQ(config.nets[0].mac->to_string(), "c6:f4:35:f8:98:c9");
  EXPECT_EQ(config.nets[1].bridge, "virbr0");
  EXPECT_EQ(config.nets[2].mode, NetMode::kUser);
  ASSERT_EQ(config.nets[2].forward.size(), 1U);
  EXPECT_EQ(config.nets[2].forward[0].guest, 22);
  EXPECT_EQ(config.nets[3].tap, "vm0");
}

TEST(Domain, WhatHasNoCounterpartIsToldOnce) {
  const auto text = converted(with_devices(
      "<tpm model='tpm-crb'/>\n<input type='mouse'/>\n<input type='mouse'/>\n<foo type='bar'/>"));
  EXPECT_THAT(text, HasSubstr("# <tpm model='tpm-crb'> (line 4): there is no TPM"));
  EXPECT_THAT(text, HasSubstr("# <input type='mouse'> (lines 5, 6): there are no emulated"));
  EXPECT_THAT(text, HasSubstr("# <foo type='bar'> (line 7): gpuvm convert does not know it"));
}

TEST(Domain, CountsItsNotes) {
  const auto none = convert_guest(
      domain("<os><kernel>/k</kernel></os><devices>" + hostdev(1, 0, 0) + "</devices>"), {"input"});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->notes, 0U) << none->toml;
  const auto one =
      convert_guest(domain("<os><kernel>/k</kernel></os><devices><tpm/></devices>"), {"input"});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->notes, 1U) << one->toml;
}

TEST(Domain, TooManySectionsAreComments) {
  std::string disks;
  for (unsigned i = 0; i < 10; ++i) {
    disks += fmt::format("<disk device='disk'><source file='/d{}'/></disk>", i);
  }
  const auto text = converted(with_devices(disks));
  EXPECT_THAT(text, HasSubstr("\npath = \"/d7\""));
  EXPECT_THAT(text, HasSubstr("# path = \"/d8\""));
}

TEST(Domain, WhatGpuvmRefusesBecomesAComment) {
  const auto guest = convert_guest(
      with_devices("<disk device='disk'><source file='/a'/></disk><disk device='disk'>"
                   "<source file='/a'/></disk>"),
      {"input"});
  ASSERT_TRUE(guest);
  EXPECT_TRUE(guest->is_valid) << guest->toml;
  EXPECT_THAT(guest->toml, HasSubstr("# gpuvm refuses this, write it by hand: "));
  EXPECT_THAT(guest->toml, Not(HasSubstr("is missing")));
}

// libvirt reads them in the base that they show: without "0x" they are decimal.
TEST(Domain, AnAddressWithoutAPrefixIsDecimal) {
  const auto config =
      config_of(with_devices("<hostdev type='pci'><source><address bus='17' slot='10' "
                             "function='0'/></source></hostdev>"));
  ASSERT_EQ(config.pci.size(), 1U);
  EXPECT_EQ(config.pci[0].host.to_string(), "0000:11:0a.0");
}

TEST(Domain, TextOfOthersStaysText) {
  const auto text = converted(
      "<domain><name>g</name><vcpu>1</vcpu><memory>1048576</memory><title>a&#10;[boot]&#10;x = 1"
      "</title><os><kernel>/k\"\\b</kernel></os></domain>");
  EXPECT_THAT(text, HasSubstr("kernel = \"/k\\\"\\\\b\""));
  EXPECT_THAT(text, Not(HasSubstr("\nx = 1")));
}

TEST(Domain, DevicesAloneAreEnough) {
  const auto text = converted(hostdev(1, 0, 0));
  EXPECT_THAT(text, testing::StartsWith("[machine]\n# machine: the text has devices only"));
  EXPECT_THAT(text, HasSubstr("host = \"0000:01:00.0\""));
}

TEST(Domain, ErrorsHaveAPlace) {
  EXPECT_THAT(refusal("<domain>\n<name>x</nam></domain>"), HasSubstr("input:2:"));
  EXPECT_THAT(refusal("<!DOCTYPE d [<!ENTITY a 'b'>]>\n<domain/>"), HasSubstr("document type"));
  EXPECT_THAT(refusal("<network><name>n</name></network>"), HasSubstr("a network of libvirt"));
  EXPECT_THAT(refusal("<other/>"), HasSubstr("there is no <domain> here"));
  EXPECT_THAT(refusal(""), HasSubstr("the text is empty"));
  EXPECT_THAT(refusal("<domain>" + std::string(5000, ' ') + "\n" +
                      [] {
                        std::string deep;
                        for (int i = 0; i < 1000; ++i) {
                          deep += "<a>";
                        }
                        for (int i = 0; i < 1000; ++i) {
                          deep += "</a>";
                        }
                        return deep;
                      }() +
                      "</domain>"),
              HasSubstr("too deep"));
  EXPECT_THAT(refusal(std::string(kMostForeignText + 1, 'x')), HasSubstr("is larger than 1 MiB"));
  EXPECT_THAT(refusal("[machine]\ncpus = 1\n"), HasSubstr("is a configuration of gpuvm already"));
}

}  // namespace
}  // namespace gpuvm::domain_test
