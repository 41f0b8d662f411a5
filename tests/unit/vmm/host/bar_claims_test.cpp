// SPDX-License-Identifier: Apache-2.0
// Lines as Linux prints them in /proc/iomem (kernel/resource.c, r_show). The first is from a public
// report: https://github.com/siderolabs/talos/issues/14356.
#include "vmm/host/bar_claims.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/device_use.hpp"
#include "vmm/host/host_check.hpp"

namespace gpuvm::bar_claims_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string kGpu = "0000:c3:00.0";
const std::string kBase = "/sys/bus/pci/devices/" + kGpu;
const std::string kBus = "2800000000-3000ffffff : PCI Bus 0000:c3\n";
const std::string kOwn = "  2800000000-2fffffffff : 0000:c3:00.0\n";
const std::string kFrameBuffer =
    "    2800000000-2801fa3fff : BOOTFB\n"
    "      2800000000-2801fa3fff : simpledrm\n";
const std::string kOther = "  3000000000-30001fffff : 0000:c3:00.0\n";

class BarClaimsTest : public testing::Test {
 protected:
  /// BAR 0 of 32 GiB and BAR 2 of 2 MiB.
  void make(const std::string& class_code, const std::string& driver, const std::string& iomem) {
    host_.add_device(kGpu, class_code, 13, driver);
    host_.file(kBase + "/resource",
               "0x0000002800000000 0x0000002fffffffff 0x000000000014220c\n"
               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
               "0x0000003000000000 0x00000030001fffff 0x000000000014220c\n"
               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
               "0x000000000000f000 0x000000000000f0ff 0x0000000000040101\n"
               "0x00000000dc500000 0x00000000dc57ffff 0x0000000000040200\n"
               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
    host_.file("/proc/iomem", iomem);
  }
  std::string trouble() const {
    const auto status = check_bars_free(host_, bdf_of(kGpu));
    return status ? std::string() : status.error().message();
  }
  FakeHost host_;
};

TEST_F(BarClaimsTest, FrameBufferOfAClassThatVfioLeavesAloneIsRefusedWithTheCure) {
  make("0x038000", "vfio-pci", kBus + kOwn + kFrameBuffer + kOther);
  host_.link("/sys/bus/platform/devices/simple-framebuffer.0/driver",
             "../../../bus/platform/drivers/simple-framebuffer");
  EXPECT_THAT(trouble(),
              AllOf(HasSubstr("BAR 0 (BOOTFB at 0x2800000000, simpledrm at 0x2800000000)"),
                    HasSubstr(kGpu), HasSubstr("initcall_blacklist=sysfb_init"),
                    HasSubstr("the card's own driver"), Not(HasSubstr("BAR 2"))))
      << "BOOTFB stays when simpledrm goes";
  // The start and the dry run ask the same.
  const auto checked = check_device(host_, bdf_of(kGpu), true);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::kHost);
  EXPECT_EQ(checked.error().message(), trouble());
  // Without a driver vfio-pci is bound by us, and leaves this class alone as well.
  std::filesystem::remove(host_.path(kBase + "/driver"));
  EXPECT_THAT(trouble(), HasSubstr("BOOTFB"));
}

TEST_F(BarClaimsTest, WhatAnUnbindRemovesIsCuredByIt) {
  make("0x030000", "vfio-pci", kBus + kOwn + "    2800000000-28007fffff : efifb\n");
  host_.link("/sys/bus/platform/devices/efi-framebuffer.0/driver",
             "../../../bus/platform/drivers/efi-framebuffer");
  host_.link("/sys/bus/platform/devices/serial8250/driver", "../../../drivers/serial8250");
  host_.file("/sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
  host_.file("/sys/class/vtconsole/vtcon0/bind", "0\n");
  host_.file("/sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
  host_.file("/sys/class/vtconsole/vtcon1/bind", "1\n");
  EXPECT_THAT(
      trouble(),
      AllOf(HasSubstr("`echo 0 >/sys/class/vtconsole/vtcon1/bind`; `echo efi-framebuffer.0 "
                      ">/sys/bus/platform/drivers/efi-framebuffer/unbind`"),
            HasSubstr("video=efifb:off"), Not(HasSubstr("serial8250")), Not(HasSubstr("vtcon0"))));
}

// Linux 6.0 and later: vfio-pci removes the firmware's frame buffers from a VGA controller.
TEST_F(BarClaimsTest, VgaControllersAreToldOfUntilVfioHasThem) {
  make("0x030000", "", kBus + kOwn + kFrameBuffer);
  EXPECT_EQ(trouble(), "");
  EXPECT_THAT(frame_buffer_advice(host_, bdf_of(kGpu)),
              AllOf(HasSubstr("BOOTFB"), HasSubstr("does not come back")));
  host_.attach(kGpu, "vfio-pci");  // a kernel that does not
  EXPECT_THAT(trouble(), HasSubstr("BOOTFB"));
  EXPECT_EQ(frame_buffer_advice(host_, bdf_of(kGpu)), "");
}

// Of what a driver has nothing remains when it is unbound, but a frame buffer is not the driver's.
TEST_F(BarClaimsTest, OnlyFrameBuffersCountWhileADriverIsBound) {
  make("0x030200", "nvidia",
       kBus + kOwn + "    2800000000-2fffffffff : nvidia\n      2800000000-2800ffffff : part\n" +
           kOther + "    3000000000-30001fffff : ICH HD audio\n");
  EXPECT_EQ(trouble(), "");
  host_.file("/proc/iomem", kBus + kOwn + "    2800000000-28007fffff : vesafb\n");
  EXPECT_THAT(trouble(), AllOf(HasSubstr("vesafb"), HasSubstr("video=vesafb:off")));
}

// Such as NVIDIA's of virtual functions, which is called as that of the host's GPUs.
TEST_F(BarClaimsTest, WhatAVendorsDriverOfVfioHasIsNoTrouble) {
  make("0x030200", "nvidia", kBus + kOwn + "    2800000000-2fffffffff : nvidia\n" + kOther);
  host_.directory(kBase + "/vfio-dev/vfio0");
  EXPECT_EQ(trouble(), "");
}

TEST_F(BarClaimsTest, AnythingElseInABarIsNamed) {
  make("0x038000", "vfio-pci", kBus + kOwn + kOther + "    3000100000-30001fffff : ramoops\n");
  EXPECT_THAT(trouble(),
              AllOf(HasSubstr("BAR 2 (ramoops at 0x3000100000)"), Not(HasSubstr("frame buffer"))));
  // One that is no part of the resource, but overlaps.
  host_.file("/proc/iomem", "2f00000000-3000000fff : Reserved\n" + kOwn);
  EXPECT_THAT(trouble(), HasSubstr("Reserved at 0x2f00000000"));
}

TEST_F(BarClaimsTest, WhatIsAroundOrPcisOwnIsNoTrouble) {
  make("0x038000", "vfio-pci",
       "00000000-00000fff : Reserved\n"
       "2000000000-3fffffffff : Reserved\n"
       "  2000000000-3fffffffff : PCI Bus 0000:00\n"
       "    2800000000-3000ffffff : PCI Bus 0000:c3\n"
       "      2800000000-2fffffffff : 0000:c3:00.0\n"
       "        2800000000-2fffffffff : vfio-pci\n"
       "      3000000000-30001fffff : 0000:c3:00.0\n"
       "      3000200000-30002fffff : 0000:c3:00.1\n"
       "        3000200000-30002fffff : efifb\n"
       "4000000000-4fffffffff : efifb\n");
  EXPECT_EQ(trouble(), "");
  EXPECT_THAT(find_bar_claims(host_, HostPciDevice::open(host_, bdf_of(kGpu)).value()), IsEmpty());
}

// Without root all addresses are zero.
TEST_F(BarClaimsTest, HiddenAddressesSayNothing) {
  make("0x038000", "vfio-pci",
       "00000000-00000000 : PCI Bus 0000:c3\n  00000000-00000000 : 0000:c3:00.0\n"
       "    00000000-00000000 : BOOTFB\n");
  EXPECT_EQ(trouble(), "");
  host_.file("/proc/iomem", "");
  EXPECT_EQ(trouble(), "");
  std::filesystem::remove(host_.path("/proc/iomem"));
  EXPECT_EQ(trouble(), "");
  std::filesystem::remove(host_.path(kBase + "/resource"));
  EXPECT_EQ(trouble(), "");
}

TEST(ParseIomem, LinesThatMakeNoSenseArePassedOver) {
  EXPECT_THAT(parse_iomem(""), IsEmpty());
  for (const char* const text :
       {"\n\n", "    ", "x", "1000", "1000-", "1000-1fff", "1000-1fff :", "1000-1fff: name",
        "-1000-1fff : name", "1000-11112222333344445 : name", "2000-1fff : name", " : name",
        "0x1000-0x1fff : name"}) {
    EXPECT_THAT(parse_iomem(text), IsEmpty()) << text;
  }
  const auto claims = parse_iomem("rubbish\n      1000-ffffffffffffffff : a : b\n1-2 : ");
  ASSERT_THAT(claims, SizeIs(2));
  EXPECT_EQ(claims[0].depth, 3U);
  EXPECT_EQ(claims[0].first, 0x1000U);
  EXPECT_EQ(claims[0].last, ~std::uint64_t{0});
  EXPECT_EQ(claims[0].name, "a : b");
  std::string many;
  for (int i = 0; i < 70000; ++i) {
    many += "1-2 : x\n";
  }
  EXPECT_THAT(parse_iomem(many), SizeIs(65536));
}

// The node is a child of the function: talos#14356.
TEST_F(BarClaimsTest, WhoHasTheFrameBufferOpenIsAUse) {
  make("0x030000", "", kBus + kOwn + kFrameBuffer);
  host_.directory(kBase + "/simple-framebuffer.0/drm/card0");
  host_.file("/proc/7/comm", "Xorg\n");
  host_.link("/proc/7/fd/5", "/dev/dri/card0");
  const auto uses = find_uses(host_, bdf_of(kGpu));
  ASSERT_THAT(uses, SizeIs(1));
  EXPECT_EQ(uses.front(), "Xorg (pid 7) holds /dev/dri/card0 open");
}

}  // namespace
}  // namespace gpuvm::bar_claims_test
