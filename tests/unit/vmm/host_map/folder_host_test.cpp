// SPDX-License-Identifier: Apache-2.0
// A folder with a copy of another host's sysfs, as somebody sends it: nothing outside is reached.
#include "vmm/host_map/folder_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host_map/host_map.hpp"

namespace gpuvm::folder_host_test {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;

class FolderHostTest : public testing::Test {
 protected:
  FolderHostTest() {
    files_.add_device("0000:01:00.0", "0x030000", 7, "nouveau");
    files_.file("/secret", "of this machine\n");
  }
  FolderHost open(const std::string& folder = "/") {
    auto host = FolderHost::open(files_.path(folder));
    EXPECT_TRUE(host) << host.error().to_string();
    return std::move(host).value();
  }
  FakeHost files_;
};

TEST_F(FolderHostTest, ReadsWhatIsThere) {
  const auto host = open();
  EXPECT_EQ(host.read("/sys/bus/pci/devices/0000:01:00.0/vendor").value(), "0x10de");
  EXPECT_EQ(host.read_bytes("/sys/bus/pci/devices/0000:01:00.0/vendor", 4).value().size(), 4U);
  EXPECT_EQ(host.link_name("/sys/bus/pci/devices/0000:01:00.0/driver"), "nouveau");
  EXPECT_THAT(host.list("/sys/bus/pci/devices"), ElementsAre("0000:01:00.0"));
  EXPECT_TRUE(host.exists("/sys/kernel/iommu_groups/7"));
  EXPECT_FALSE(host.exists("/sys/kernel/iommu_groups/8"));
  EXPECT_FALSE(host.write("/sys/bus/pci/devices/0000:01:00.0/vendor", "0"));
  EXPECT_EQ(files_.read("/sys/bus/pci/devices/0000:01:00.0/vendor").value(), "0x10de");
}

TEST_F(FolderHostTest, AFolderMayBeSysfsAlone) {
  const auto host = open("/sys");
  EXPECT_EQ(host.read("/sys/bus/pci/devices/0000:01:00.0/vendor").value(), "0x10de");
  EXPECT_FALSE(host.exists("/proc/self"));
  EXPECT_FALSE(host.read("/secret"));
}

TEST_F(FolderHostTest, WhatIsNoCopyIsRefused) {
  files_.directory("/empty");
  EXPECT_THAT(FolderHost::open(files_.path("/empty")).error().to_string(),
              HasSubstr("no copy of a sysfs"));
  EXPECT_THAT(FolderHost::open(files_.path("/secret")).error().to_string(),
              HasSubstr("Cannot open the folder"));
}

TEST_F(FolderHostTest, LinksLeadNowhereElse) {
  files_.file("/copy/sys/bus/pci/devices/x", "");
  files_.link("/copy/sys/up", "../../secret");
  files_.link("/copy/sys/absolute", files_.path("/secret"));
  files_.link("/copy/sys/magic", "/proc/self/root");
  files_.link("/copy/sys/loop", "loop");
  files_.link("/copy/sys/folder", "../../..");
  const auto host = open("/copy");
  for (const char* const name : {"up", "absolute", "magic/etc/passwd", "loop", "folder/secret"}) {
    const auto text = host.read(fmt::format("/sys/{}", name));
    EXPECT_FALSE(text) << name << ": " << *text;
  }
  EXPECT_FALSE(host.read("/../secret"));
  EXPECT_FALSE(host.read("/sys/../../../../../../../../../../etc/passwd"));
  EXPECT_EQ(host.link_text("/sys/up"), "../../secret");  // the text alone
}

TEST_F(FolderHostTest, OnlyRegularFilesAreRead) {
  ASSERT_EQ(::mkfifo(files_.path("/sys/fifo").c_str(), 0600), 0);
  const auto host = open();
  EXPECT_FALSE(host.read("/sys/fifo"));  // and returns
  EXPECT_FALSE(host.read_bytes("/sys/fifo", 4));
  EXPECT_FALSE(host.read("/sys/bus"));
  std::filesystem::resize_file(files_.path("/secret"), std::uintmax_t{1} << 33);  // of holes
  const auto text = host.read("/secret");
  ASSERT_TRUE(text);
  EXPECT_LE(text->size(), std::size_t{4} << 20);
}

TEST_F(FolderHostTest, IsAHostAsAnyOther) {
  const auto of_folder = gather_host_map(open(), {});
  const auto of_host = gather_host_map(files_, {});
  ASSERT_TRUE(of_folder) << of_folder.error().to_string();
  ASSERT_TRUE(of_host);
  ASSERT_EQ(of_folder->functions.size(), 1U);
  EXPECT_EQ(of_folder->functions[0].driver, of_host->functions[0].driver);
  EXPECT_EQ(of_folder->functions[0].group, 7U);
}

}  // namespace
}  // namespace gpuvm::folder_host_test
