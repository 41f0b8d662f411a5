// SPDX-License-Identifier: Apache-2.0
// Disks and flash of a command line whose nodes stand on each other (-blockdev), and disks whose
// writes are thrown away.
#include "tests/unit/vmm/convert/convert_test_support.hpp"

namespace gpuvm::block_chain_test {
namespace {

using test::config_of;
using test::converted;
using testing::HasSubstr;
using testing::Not;

std::string with_disk(std::string_view options) {
  return fmt::format("qemu-system-x86_64 -m 1G -smp 1 {}", options);
}

TEST(BlockChain, FlashOfTheMachineIsFirmware) {
  const auto config = config_of(with_disk(
      "-machine q35,pflash0=code,pflash1=vars -blockdev driver=file,filename=/c.fd,node-name=c "
      "-blockdev driver=raw,file=c,node-name=code,read-only=on "
      R"(-blockdev '{"driver":"raw","node-name":"vars","file":{"driver":"file","filename":"/v.fd"}}')"));
  EXPECT_EQ(config.boot.mode, BootMode::kUefi);
  EXPECT_EQ(config.boot.firmware, "/c.fd");
  EXPECT_EQ(config.boot.vars, "/v.fd");
  EXPECT_TRUE(config.disks.empty());
}

TEST(BlockChain, LimitsAndFormatAreOfAnyNode) {
  const auto config = config_of(with_disk(
      R"(-object '{"qom-type":"throttle-group","id":"g","limits":{"iops-total":500,"bps-total":2097152}}' )"
      R"(-blockdev '{"driver":"throttle","node-name":"top","throttle-group":"g","file":{"driver":"raw",)"
      R"("node-name":"middle","file":{"driver":"host_device","filename":"/dev/sdx","cache":{"direct":true},)"
      R"("node-name":"low"}}}' -device virtio-blk-pci,drive=top )"
      "-blockdev driver=file,filename=/b.qcow2,node-name=f "
      "-blockdev driver=qcow2,file=f,node-name=q,discard=ignore -device virtio-blk-pci,drive=q"));
  ASSERT_EQ(config.disks.size(), 2U);
  EXPECT_EQ(config.disks[0].path, "/dev/sdx");
  EXPECT_EQ(config.disks[0].format, DiskFormat::kRaw);
  EXPECT_EQ(config.disks[0].cache, DiskCache::kNone);
  EXPECT_EQ(config.disks[0].throttle.iops, 500U);
  EXPECT_EQ(config.disks[0].throttle.bandwidth, 2_MiB);
  EXPECT_EQ(config.disks[1].path, "/b.qcow2");
  EXPECT_EQ(config.disks[1].format, DiskFormat::kQcow2);
  EXPECT_FALSE(config.disks[1].discard);
}

TEST(BlockChain, ALoopEnds) {
  EXPECT_THAT(converted(with_disk("-blockdev driver=raw,file=b,node-name=a "
                                  "-blockdev driver=raw,file=a,node-name=b "
                                  "-device virtio-blk-pci,drive=a")),
              HasSubstr("it has no file"));
}

TEST(BlockChain, WhatNothingShowsIsTold) {
  const auto text = converted(with_disk(
      "-kernel /k -blockdev driver=file,filename=/lonely,node-name=f -drive "
      "id=d,if=none,file=/spare "
      "-device virtio-blk-pci,drive=missing -machine q35,pflash0=absent -netdev user,id=n9"));
  EXPECT_THAT(text, HasSubstr("/lonely,node-name=f (line 1): no device shows this one"));
  EXPECT_THAT(text,
              HasSubstr("# -drive id=d,if=none,file=/spare (line 1): no device shows this drive"));
  EXPECT_THAT(text, HasSubstr("drive=missing (line 1): its drive is not in this text"));
  EXPECT_THAT(text, HasSubstr("# -machine pflash0=absent (line 1)"));
  EXPECT_THAT(text, HasSubstr("# -netdev n9 (line 1): no card"));
  EXPECT_TRUE(config_of(with_disk("-kernel /k -netdev user,id=n9")).nets.empty());
}

TEST(BlockChain, ImagesThatCannotBeThrownAwayAreNotWritten) {
  const std::string images =
      "-drive if=virtio,file=/a.vmdk,format=vmdk -drive if=virtio,file=/b,"
      "format=raw -drive if=virtio,file=/c,format=qcow2";
  const auto config = config_of(with_disk("-snapshot " + images));
  ASSERT_EQ(config.disks.size(), 2U);
  EXPECT_TRUE(config.disks[0].throwaway);
  EXPECT_TRUE(config.disks[1].throwaway);
  const auto text = converted(with_disk("-snapshot " + images));
  EXPECT_THAT(text, HasSubstr("# drive /a.vmdk, whose writes are thrown away, (line 1)"));
  EXPECT_THAT(text, HasSubstr("# path = \"/a.vmdk\""));
  const auto domain = converted(
      "<domain><name>g</name><vcpu>1</vcpu><memory>1048576</memory><devices><disk device='disk'>"
      "<driver type='vdi'/><source file='/d.vdi'/><transient/></disk></devices></domain>");
  EXPECT_THAT(domain, HasSubstr("# disk /d.vdi, whose writes are thrown away, (line 1)"));
  EXPECT_THAT(domain, HasSubstr("# path = \"/d.vdi\""));
}

TEST(BlockChain, SecureBootIsTold) {
  for (const auto* const option :
       {"-global driver=cfi.pflash01,property=secure,value=on", "-global cfi.pflash01.secure=on",
        "-machine q35,smm=on",
        "-drive if=pflash,format=raw,readonly=on,file=/f/OVMF_CODE.secboot.fd",
        "-drive if=pflash,format=raw,readonly=on,file=/f/OVMF_CODE_4M.ms.fd"}) {
    EXPECT_THAT(converted(with_disk(option)), HasSubstr("there is no SMM")) << option;
  }
  EXPECT_THAT(converted(with_disk("-machine q35,smm=off")), Not(HasSubstr("SMM")));
}

TEST(BlockChain, DescriptorsOfTapsAreTold) {
  const auto text = converted(
      with_disk("-kernel /k -netdev tap,fd=7,id=n -device virtio-net-pci,netdev=n 7<>/dev/tap4"));
  EXPECT_THAT(text, HasSubstr("\nfd = 7\n"));
  EXPECT_THAT(text, HasSubstr("# fd=7 (line 1): whoever starts gpuvm opens the tap"));
  EXPECT_THAT(text, HasSubstr("# 7<>/dev/tap4 (line 1): the shell opens this for QEMU"));
  EXPECT_THAT(converted(with_disk("-kernel /k -nic tap,fd=$FD")), HasSubstr("# fd=$FD (line 1)"));
}

TEST(BlockChain, FirmwareThatLibvirtChoosesIsNoBios) {
  const std::string domain =
      "<domain><name>g</name><vcpu>1</vcpu><memory>1048576</memory>"
      "<os firmware='efi'><type>hvm</type></os></domain>";
  EXPECT_THAT(converted(domain), HasSubstr("# firmware: libvirt chooses it for firmware='efi'"));
  EXPECT_THAT(converted(domain), Not(HasSubstr("BIOS")));
}

}  // namespace
}  // namespace gpuvm::block_chain_test
