// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_system.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::host_system_test {
namespace {

TEST(HostSystem, ReadsNumbersInBothBases) {
  FakeHost host;
  host.file("/sys/a", "0x10de\n");
  host.file("/sys/b", "42\n");
  host.file("/sys/c", "42 GT/s\n");
  host.file("/sys/d", "-1\n");
  host.file("/sys/e", "\n");
  EXPECT_EQ(host.read_number("/sys/a"), 0x10deu);
  EXPECT_EQ(host.read_number("/sys/b"), 42u);
  EXPECT_EQ(host.read_number("/sys/c"), std::nullopt);
  EXPECT_EQ(host.read_number("/sys/d"), std::nullopt);
  EXPECT_EQ(host.read_number("/sys/e"), std::nullopt);
  EXPECT_EQ(host.read_number("/sys/absent"), std::nullopt);
}

TEST(HostSystem, ListsSortedAndFollowsLinksByName) {
  FakeHost host;
  host.file("/sys/list/b", "");
  host.file("/sys/list/a", "");
  host.link("/sys/link", "../../drivers/nouveau");
  EXPECT_THAT(host.list("/sys/list"), testing::ElementsAre("a", "b"));
  EXPECT_THAT(host.list("/sys/absent"), testing::IsEmpty());
  EXPECT_EQ(host.link_name("/sys/link"), "nouveau");
  EXPECT_EQ(host.link_name("/sys/list"), std::nullopt);
}

TEST(HostSystem, WriteFailsWhereTheAttributeIsAbsent) {
  const HostSystem host(testing::TempDir() + "gpuvm-no-such-root");
  const Status status = host.write("/sys/bus/pci/drivers_probe", "x");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
}

}  // namespace
}  // namespace gpuvm::host_system_test
