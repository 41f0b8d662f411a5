// SPDX-License-Identifier: Apache-2.0
// Command lines of QEMU, option by option; tests/golden/convert has whole ones.
#include "tests/unit/vmm/convert/convert_test_support.hpp"

namespace gpuvm::command_line_test {
namespace {

using test::config_of;
using test::converted;
using test::refusal;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string qemu(std::string_view options) {
  return fmt::format("qemu-system-x86_64 -m 4096 -smp 4 -kernel /k {}", options);
}

TEST(CommandLine, HasMemoryAndProcessors) {
  const std::pair<std::string, std::uint64_t> sizes[] = {{"4096", 4_GiB},
                                                         {"1.5G", 1536_MiB},
                                                         {"size=2048", 2_GiB},
                                                         {"2097152k", 2_GiB},
                                                         {"8G,slots=2,maxmem=16G", 8_GiB}};
  for (const auto& [option, size] : sizes) {
    EXPECT_EQ(config_of("qemu-system-x86_64 -smp 1 -kernel /k -m " + option).machine.memory, size)
        << option;
  }
  const std::pair<std::string, unsigned> processors[] = {
      {"8", 8}, {"8,cores=4,threads=2", 8}, {"sockets=2,cores=3,threads=2", 12}, {"cpus=2", 2}};
  for (const auto& [option, count] : processors) {
    EXPECT_EQ(config_of("qemu-system-x86_64 -m 1G -kernel /k -smp " + option).machine.cpus, count)
        << option;
  }
}

TEST(CommandLine, FunctionsHaveTheirProperties) {
  const auto config = config_of(
      qemu("-device vfio-pci,host=01:00.0,multifunction=on,romfile=gpu.rom,x-pci-vendor-id=0x10de,"
           "x-pci-device-id=0x1b80,x-pci-sub-vendor-id=0x1043,x-pci-sub-device-id=0x85e7,"
           "x-pci-class-code=0x030000,vf-token=14D63F20-8445-11ea-8900-1f9ce7d5650d "
           "-device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.1"));
  ASSERT_EQ(config.pci.size(), 1U);
  const auto& pci = config.pci[0];
  EXPECT_THAT(pci.functions, ElementsAre(0, 1));
  EXPECT_EQ(pci.rom.path, "/gpu.rom");
  EXPECT_EQ(pci.identity.vendor_id, 0x10de);
  EXPECT_EQ(pci.identity.device_id, 0x1b80);
  EXPECT_EQ(pci.identity.sub_vendor_id, 0x1043);
  EXPECT_EQ(pci.identity.sub_device_id, 0x85e7);
  EXPECT_EQ(pci.identity.class_code, 0x030000U);
  EXPECT_EQ(pci.vf_token, "14d63f20-8445-11ea-8900-1f9ce7d5650d");
}

TEST(CommandLine, TheLastOfSeveralMemoriesAndProcessorsCounts) {
  const auto text = converted(qemu("-m 8G -smp 2 -smp 2"));  // after -m 4096 -smp 4
  EXPECT_THAT(text, HasSubstr("memory = \"8GiB\""));
  EXPECT_THAT(text, HasSubstr("# -m that meant 4294967296 (line 1): it is there more than once"));
  EXPECT_THAT(text, HasSubstr("cpus = 2"));
  EXPECT_THAT(text, HasSubstr("# -smp that meant 4 (line 1): it is there more than once"));
  EXPECT_THAT(text, Not(HasSubstr("-smp that meant 2")));
}

TEST(CommandLine, AddressesMayBeShort) {
  const auto hosts = [](std::string_view host) {
    return config_of(qemu(fmt::format("-device vfio-pci,host={}", host))).pci;
  };
  for (const auto* const host : {"1:0.0", "01:0.0", "0:01:00.0", "0000:1:00.0", "01:00.0"}) {
    const auto pci = hosts(host);
    ASSERT_EQ(pci.size(), 1U) << host;
    EXPECT_EQ(pci[0].host.to_string(), "0000:01:00.0") << host;
  }
  for (const auto* const host : {"01:00", "1:20.0", "1:0.8", "123:0.0", "1:0.0.0", ":0.0", "1:0.x",
                                 "10000:1:0.0", "1:0:", "1.0:0"}) {
    EXPECT_TRUE(hosts(host).empty()) << host;
  }
  EXPECT_EQ(config_of(qemu("-device pci-assign,host=02:00.0")).pci.size(), 1U);
}

TEST(CommandLine, FunctionsWithoutCounterpartsAreTold) {
  const auto text = converted(
      qemu("-device vfio-pci,host=01:00.0,x-vga=on,x-no-mmap=true,display=on,x-igd-opregion=on,"
           "foo=bar,rombar=1,x-req=off"));
  EXPECT_THAT(text, HasSubstr("# x-vga=on (line 1): there are no legacy VGA ranges"));
  EXPECT_THAT(text, HasSubstr("# x-no-mmap=true"));
  EXPECT_THAT(text, HasSubstr("# display=on"));
  EXPECT_THAT(text, HasSubstr("# x-igd-opregion=on"));
  EXPECT_THAT(text, HasSubstr("# foo=bar (line 1): gpuvm convert does not know it"));
  EXPECT_THAT(text, HasSubstr("0000:01:00.0 x-req=off"));  // in the list of what needs no key
  EXPECT_THAT(text, Not(HasSubstr("# x-req")));
}

TEST(CommandLine, RootPortsAreNumbered) {
  const auto config = config_of(qemu(
      "-device pcie-root-port,id=a -device pcie-root-port,id=b -device vfio-pci,host=01:00.0,bus=b "
      "-device vfio-pci,host=02:00.0,bus=a -device vfio-pci,host=03:00.0,bus=pcie.0"));
  ASSERT_EQ(config.pci.size(), 3U);
  EXPECT_EQ(config.pci[0].port, 0);
  EXPECT_EQ(config.pci[1].port, 1);
  EXPECT_FALSE(config.pci[2].port);
}

TEST(CommandLine, CliquesComeWithPeers) {
  const auto config = config_of(
      qemu("-set device.gpu.x-nv-gpudirect-clique=1 -device vfio-pci,host=81:00.0,id=gpu"));
  ASSERT_EQ(config.pci.size(), 1U);
  EXPECT_EQ(config.pci[0].gpudirect_clique, 1);
  EXPECT_TRUE(config.pci[0].p2p);
}

TEST(CommandLine, ProcessorIsHiddenAsItSays) {
  const auto config = config_of(qemu(
      "-cpu host,kvm=off,hv_vendor_id=Code43,hv-relaxed,hv_vapic=on,hv-time=off,-avx512f,+pcid"));
  EXPECT_TRUE(config.cpu.hide_hypervisor);
  EXPECT_EQ(config.cpu.hyperv_vendor_id, "Code43");
  EXPECT_THAT(config.cpu.hyperv, ElementsAre("relaxed", "vapic"));
  EXPECT_THAT(config.cpu.hide, ElementsAre("avx512f"));
  EXPECT_THAT(converted(qemu("-cpu EPYC,hv-synic")), HasSubstr("# -cpu EPYC"));
  EXPECT_THAT(converted(qemu("-cpu host,hv-synic")), HasSubstr("# Hyper-V's synic"));
}

TEST(CommandLine, FlashIsFirmware) {
  const auto config = config_of(
      "qemu-system-x86_64 -m 1G -smp 1 -drive if=pflash,format=raw,readonly=on,file=/c.fd "
      "-drive if=pflash,format=raw,file=/v.fd");
  EXPECT_EQ(config.boot.mode, BootMode::kUefi);
  EXPECT_EQ(config.boot.firmware, "/c.fd");
  EXPECT_EQ(config.boot.vars, "/v.fd");
}

TEST(CommandLine, DisksAndTheirDevicesAreOne) {
  const auto config = config_of(
      "qemu-system-x86_64 -m 1G -smp 1 -device virtio-blk-pci,drive=d,bootindex=1,serial=root "
      "-drive id=d,file=/a,,b.img,if=none,format=raw,cache=none,snapshot=on -hda /old.qcow2 "
      "-drive id=unused,file=/c,if=none,format=raw");
  ASSERT_EQ(config.disks.size(), 2U);
  EXPECT_EQ(config.disks[0].path, "/a,b.img");
  EXPECT_EQ(config.disks[0].cache, DiskCache::kNone);
  EXPECT_TRUE(config.disks[0].throwaway);
  EXPECT_TRUE(config.disks[0].boot);
  EXPECT_EQ(config.disks[1].format, DiskFormat::kQcow2);  // by its name
}

TEST(CommandLine, DisksStartBeforeCdDrives) {
  const auto boots = [](const std::string& options) {
    std::string path;
    for (const auto& disk : config_of("qemu-system-x86_64 -m 1G -smp 1 " + options).disks) {
      path += disk.boot ? disk.path : "";
    }
    return path;
  };
  const std::string disk = " -drive file=/vm.qcow2,if=virtio,format=qcow2";
  EXPECT_EQ(boots("-cdrom /inst.iso" + disk), "/vm.qcow2");
  EXPECT_EQ(boots("-cdrom /inst.iso -boot d" + disk), "/inst.iso");
  EXPECT_EQ(boots("-cdrom /inst.iso"), "/inst.iso");
  EXPECT_EQ(boots("-drive file=/i.iso,if=none,id=c,media=cdrom -device ide-cd,drive=c,bootindex=1" +
                  disk),
            "/i.iso");
}

TEST(CommandLine, DrivesAreWhereTheirIndexSays) {
  const auto config = config_of(
      "qemu-system-x86_64 -m 1G -smp 1 -drive file=/b,format=raw,index=1 "
      "-drive file=/a,format=raw,index=0 -hdd /d.qcow2 -hdc /c.qcow2");
  ASSERT_EQ(config.disks.size(), 4U);
  EXPECT_EQ(config.disks[0].path, "/a");
  EXPECT_TRUE(config.disks[0].boot);
  EXPECT_EQ(config.disks[1].path, "/b");
  EXPECT_EQ(config.disks[2].path, "/c.qcow2");
  EXPECT_EQ(config.disks[3].path, "/d.qcow2");
}

TEST(CommandLine, JsonIsTheSame) {
  const auto config = config_of(
      R"(qemu-system-x86_64 -m 1G -smp 1 -device '{"driver":"vfio-pci","host":"0000:01:00.0"}' )"
      R"(-blockdev '{"driver":"file","filename":"/a.qcow2","node-name":"f"}' )"
      R"(-blockdev '{"node-name":"n","read-only":true,"driver":"qcow2","file":"f"}' )"
      R"(-device '{"driver":"virtio-blk-pci","drive":"n","bootindex":1}')");
  ASSERT_EQ(config.pci.size(), 1U);
  ASSERT_EQ(config.disks.size(), 1U);
  EXPECT_EQ(config.disks[0].path, "/a.qcow2");
  EXPECT_EQ(config.disks[0].format, DiskFormat::kQcow2);
  EXPECT_TRUE(config.disks[0].read_only);
}

TEST(CommandLine, NetworksGoWhereTheyWent) {
  const auto config =
      config_of(qemu("-netdev tap,id=a,ifname=vm0,script=no,queues=2 "
                     "-device virtio-net-pci,netdev=a,mac=52:54:00:12:34:56,host_mtu=9000 "
                     "-nic user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::53-10.0.2.15:53 "
                     "-netdev bridge,id=b,br=br7 -device virtio-net-pci,netdev=b"));
  ASSERT_EQ(config.nets.size(), 3U);
  EXPECT_EQ(config.nets[0].tap, "vm0");
  EXPECT_EQ(config.nets[0].queues, 2);
  EXPECT_EQ(config.nets[0].mtu, 9000);
  EXPECT_EQ(config.nets[0].mac->to_string(), "52:54:00:12:34:56");
  ASSERT_EQ(config.nets[1].forward.size(), 2U);
  EXPECT_EQ(config.nets[1].forward[0].address, "127.0.0.1");
  EXPECT_TRUE(config.nets[1].forward[1].udp);
  EXPECT_EQ(config.nets[2].bridge, "br7");
}

TEST(CommandLine, OldNetworksAreOneCard) {
  EXPECT_EQ(config_of(qemu("-net nic -net user,hostfwd=tcp::54321-:22")).nets.size(), 1U);
  const auto config =
      config_of(qemu("-net nic,macaddr=52:54:00:12:34:56 -net tap,ifname=t0,script=no"));
  ASSERT_EQ(config.nets.size(), 1U);
  EXPECT_EQ(config.nets[0].tap, "t0");
  EXPECT_TRUE(config.nets[0].mac);
  EXPECT_TRUE(config_of(qemu("-net none")).nets.empty());
}

TEST(CommandLine, NumaNodesHaveMemory) {
  const auto config = config_of(
      qemu("-numa node,memdev=m,cpus=0-3 -object memory-backend-file,id=m,size=4G,host-nodes=1,"
           "policy=bind,mem-path=/dev/hugepages-1G"));
  ASSERT_EQ(config.nodes.size(), 1U);
  EXPECT_EQ(config.nodes[0].host_node, 1U);
  EXPECT_EQ(config.machine.huge_pages, HugePages::k1GiB);
}

TEST(CommandLine, ConsolesLeadWhereTheyLed) {
  const auto target = [](const std::string& options) { return converted(qemu(options)); };
  EXPECT_THAT(target("-serial mon:stdio"), HasSubstr("serial = [\"stdio\"]"));
  EXPECT_THAT(target("-serial pty"), HasSubstr("serial = [\"pty\"]"));
  EXPECT_THAT(target("-serial unix:/s,server=on"), HasSubstr("serial = [\"socket:/s\"]"));
  EXPECT_THAT(target("-serial none"), HasSubstr("serial = [\"off\"]"));
  EXPECT_THAT(target("-serial chardev:c -chardev file,id=c,path=/f"),
              HasSubstr("serial = [\"file:/f\"]"));
  EXPECT_THAT(target("-serial tcp::4444,server"), HasSubstr("gpuvm listens on no network port"));
  EXPECT_THAT(target("-device virtconsole,chardev=c -chardev pty,id=c"),
              HasSubstr("virtio = [\"pty\"]"));
}

TEST(CommandLine, OtherKeysAreThere) {
  const auto config = config_of(
      qemu("-no-reboot -device vhost-vsock-pci,guest-cid=7 -device pvpanic -device isa-debug-exit "
           "-smbios type=11,value=io.systemd.credential:a.b=text "
           "-virtfs local,path=/s,mount_tag=t,security_model=none,readonly=on"));
  EXPECT_EQ(config.machine.on_reboot, RebootAction::kExit);
  ASSERT_TRUE(config.vsock);
  EXPECT_EQ(config.vsock->cid, 7U);
  EXPECT_TRUE(config.test.pvpanic);
  EXPECT_TRUE(config.test.exit_port);
  ASSERT_EQ(config.credentials.size(), 1U);
  EXPECT_EQ(config.credentials[0].name, "a.b");
  ASSERT_EQ(config.shares.size(), 1U);
  EXPECT_TRUE(config.shares[0].read_only);
}

TEST(CommandLine, WhatHasNoCounterpartIsTold) {
  const auto text = converted(
      qemu("-spice port=5900 -vga none -display none -device usb-tablet -readconfig more.cfg "
           "-something else -flag -tpmdev emulator,id=t -bios /b.fd"));
  EXPECT_THAT(text, HasSubstr("# -spice port=5900"));
  EXPECT_THAT(text, HasSubstr("# -device usb-tablet"));
  EXPECT_THAT(text, HasSubstr("# -readconfig more.cfg"));
  EXPECT_THAT(text, HasSubstr("# -something else (line 1): gpuvm convert does not know it"));
  EXPECT_THAT(text, HasSubstr("# -flag (line 1): gpuvm convert does not know it"));
  EXPECT_THAT(text, HasSubstr("# -tpmdev emulator,id=t"));
  EXPECT_THAT(text, HasSubstr("# -bios /b.fd"));
  EXPECT_THAT(text, Not(HasSubstr("# -vga")));
  EXPECT_THAT(text, Not(HasSubstr("# -display")));
}

TEST(CommandLine, AdviceIsOfTheThing) {
  const auto text = converted(qemu("-nic user,smb=/srv -D /q.log -runas nobody -trace foo"));
  EXPECT_THAT(text, HasSubstr("# smb=/srv (line 1): folders of the host are a [[share]]"));
  EXPECT_THAT(text, HasSubstr("# -D /q.log (line 1): gpuvm writes its messages to standard error"));
  EXPECT_THAT(text, HasSubstr("# -runas nobody (line 1): gpuvm changes no user"));
  EXPECT_THAT(text, HasSubstr("# -trace foo (line 1): its trace points are QEMU's own"));
}

TEST(CommandLine, NeedsAQemu) {
  EXPECT_THAT(refusal("echo hello\n"), HasSubstr("input:1:1: there is no command of QEMU here"));
  EXPECT_THAT(refusal("<domain/>", ForeignText::kQemu),
              HasSubstr("there is no command of QEMU here: this is XML"));
  EXPECT_EQ(config_of("-m 2G -smp 2 -kernel /k").machine.cpus, 2U);  // options alone
}

}  // namespace
}  // namespace gpuvm::command_line_test
