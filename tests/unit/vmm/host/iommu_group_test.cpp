// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/iommu_group.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::iommu_group_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(IommuGroup, HoldsAllMembers) {
  FakeHost host;
  host.add_device("0000:01:00.1", "0x040300", 13, "");
  host.add_device("0000:01:00.0", "0x030000", 13, "");
  host.add_device("0000:02:00.0", "0x0c0330", 14, "");
  const auto group = IommuGroup::of(host, bdf_of("0000:01:00.1"));
  ASSERT_TRUE(group);
  EXPECT_EQ(group->number(), 13u);
  EXPECT_THAT(group->members(), ElementsAre(bdf_of("0000:01:00.0"), bdf_of("0000:01:00.1")));
}

TEST(IommuGroup, NamesEachFunctionInTheWayWithDriverAndCure) {
  FakeHost host;
  host.add_device("0000:00:01.0", "0x060400", 13, "pcieport");
  host.add_device("0000:01:00.0", "0x030000", 13, "nouveau");
  host.add_device("0000:01:00.1", "0x040300", 13, "snd_hda_intel");
  host.add_device("0000:01:00.2", "0x0c0330", 13, "xhci_hcd");
  host.add_device("0000:01:00.3", "0x0c8000", 13, "");
  const std::vector<Bdf> ours{bdf_of("0000:01:00.0")};
  const auto group = IommuGroup::of(host, ours[0]);
  ASSERT_TRUE(group);
  const Status status = group->check_viable(host, ours);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(status.error().message(),
              AllOf(HasSubstr("0000:01:00.1 (driver snd_hda_intel)"),
                    HasSubstr("0000:01:00.2 (driver xhci_hcd)"), HasSubstr("functions = \"all\""),
                    Not(HasSubstr("0000:00:01.0"))));
  EXPECT_THAT(status.error().message(), Not(HasSubstr("0000:01:00.3")));
}

TEST(IommuGroup, IsViableWithOursVfioAndBridges) {
  FakeHost host;
  host.add_device("0000:00:01.0", "0x060400", 13, "pcieport");
  host.add_device("0000:01:00.0", "0x030000", 13, "nouveau");
  host.add_device("0000:01:00.1", "0x040300", 13, "vfio-pci");
  const std::vector<Bdf> ours{bdf_of("0000:01:00.0")};
  EXPECT_TRUE(IommuGroup::of(host, ours[0])->check_viable(host, ours));
  EXPECT_FALSE(IommuGroup::of(host, ours[0])->check_viable(host, {}));
}

TEST(IommuGroup, WithoutIommuNamesBootArgumentAndBios) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x030000", 13, "");
  std::filesystem::remove_all(host.path("/sys/kernel/iommu_groups"));
  std::filesystem::remove(host.path("/sys/bus/pci/devices/0000:01:00.0/iommu_group"));
  const auto group = IommuGroup::of(host, bdf_of("0000:01:00.0"));
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().message(),
              AllOf(HasSubstr("intel_iommu=on"), HasSubstr("amd_iommu=off"), HasSubstr("BIOS")));
}

}  // namespace
}  // namespace gpuvm::iommu_group_test
