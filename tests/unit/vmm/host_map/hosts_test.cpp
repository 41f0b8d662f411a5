// SPDX-License-Identifier: Apache-2.0
// Whole machines, replayed (tests/fixtures/hosts): which groups there are, which cards a guest can
// have, and what stops the others. tests/golden/hosts has what is printed of each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/fixtures/source_file.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host_map/map_text.hpp"
#include "vmm/host_map/snapshot_file.hpp"

namespace gpuvm::hosts_test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

HostMap map_of(const std::string& name) {
  const auto host =
      load_snapshot(test::source_file(fmt::format("tests/fixtures/hosts/{}.json", name)));
  EXPECT_TRUE(host) << host.error().to_string();
  auto map = gather_host_map(*host, PciNames::of_host(*host));
  EXPECT_TRUE(map) << map.error().to_string();
  return std::move(map).value();
}

const MapFunction& function_of(const HostMap& map, const std::string& address) {
  const auto* const function = map.find(bdf_of(address));
  EXPECT_NE(function, nullptr) << address;
  return function != nullptr ? *function : map.functions.front();
}

std::vector<std::string> members_of(const HostMap& map, std::uint32_t number) {
  std::vector<std::string> members;
  for (const MapGroup& group : map.groups) {
    for (const std::size_t index :
         group.number == number ? group.functions : std::vector<std::size_t>()) {
      members.push_back(map.functions[index].address.to_string());
    }
  }
  return members;
}

/// All that a guest would be given with the function.
std::vector<std::string> taken_with(const MapFunction& function) {
  std::vector<std::string> taken;
  for (const SlotEntry& entry : function.outlook.entries) {
    for (const Bdf& bdf : entry.takes) {
      taken.push_back(bdf.to_string());
    }
  }
  return taken;
}

std::vector<std::string> passable_gpus(const HostMap& map) {
  std::vector<std::string> gpus;
  for (const MapFunction& function : map.functions) {
    if (function.is_gpu() && function.outlook.can_be_passed()) {
      gpus.push_back(function.address.to_string());
    }
  }
  return gpus;
}

TEST(Threadripper, TreeIsItsOwners) {
  std::ifstream file(test::source_file("tests/fixtures/hosts/threadripper-1900x.tree"));
  const std::string expected{std::istreambuf_iterator<char>(file), {}};
  ASSERT_GT(expected.size(), 5000U);
  EXPECT_EQ(tree_text(map_of("threadripper-1900x"), MapFilter::kAll), expected);
}

TEST(Threadripper, TheCardInSlotFourCanBePassed) {
  const auto map = map_of("threadripper-1900x");
  EXPECT_TRUE(map.has_iommu);
  EXPECT_EQ(map.groups.size(), 40U);  // 0 to 39
  EXPECT_THAT(members_of(map, 14), ElementsAre("0000:08:00.0", "0000:08:00.1"));
  EXPECT_THAT(passable_gpus(map), ElementsAre("0000:08:00.0", "0000:43:00.0"));
  const auto& guests = function_of(map, "0000:08:00.0");
  EXPECT_THAT(taken_with(guests), ElementsAre("0000:08:00.0", "0000:08:00.1"));
  EXPECT_THAT(guests.outlook.remarks, IsEmpty());
  EXPECT_THAT(guests.outlook.reset, testing::StartsWith("hot reset"));
  EXPECT_EQ(entries_toml(map, guests),
            "[[pci]]\nhost = \"0000:08:00.0\"  # NVIDIA Corporation GP104 [GeForce GTX 1080]\n"
            "# with 0000:08:00.1, of the same slot\n");
  EXPECT_THAT(function_of(map, "0000:43:00.0").outlook.remarks, Contains(HasSubstr("console")));
}

TEST(Threadripper, TheUsbCardCanBePassedAndTheChipsetCannot) {
  const auto map = map_of("threadripper-1900x");
  EXPECT_TRUE(function_of(map, "0000:42:00.0").outlook.can_be_passed());
  EXPECT_THAT(taken_with(function_of(map, "0000:42:00.0")), ElementsAre("0000:42:00.0"));
  const auto& chipset = function_of(map, "0000:01:00.0").outlook;
  EXPECT_FALSE(chipset.can_be_passed());
  EXPECT_THAT(chipset.obstacles, Contains(AllOf(HasSubstr("0000:04:00.0"), HasSubstr("is up"))));
  EXPECT_THAT(
      taken_with(function_of(map, "0000:01:00.0")),
      ElementsAre("0000:01:00.0", "0000:01:00.1", "0000:04:00.0", "0000:05:00.0", "0000:06:00.0"));
  EXPECT_THAT(function_of(map, "0000:41:00.0").outlook.obstacles,
              Contains(HasSubstr("/dev/nvme0n1p2 is mounted")));
  EXPECT_TRUE(function_of(map, "0000:00:01.1").stays_with_host());
  EXPECT_TRUE(function_of(map, "0000:09:00.0").stays_with_host());
}

TEST(Laptop, TheCardWithoutAScreenCanBePassedAndItsRomIsMissing) {
  const auto map = map_of("laptop-muxless");
  EXPECT_THAT(members_of(map, 1), ElementsAre("0000:00:01.0", "0000:01:00.0"));
  const auto& card = function_of(map, "0000:01:00.0");
  EXPECT_TRUE(card.is_gpu());
  EXPECT_TRUE(card.outlook.can_be_passed());
  EXPECT_EQ(card.power_state, "D3cold");
  EXPECT_EQ(card.link.width, 0U);                              // 63 lanes are all ones
  EXPECT_THAT(taken_with(card), ElementsAre("0000:01:00.0"));  // the port above stays
  EXPECT_THAT(card.outlook.remarks, Contains(HasSubstr("no option ROM")));
  EXPECT_THAT(function_of(map, "0000:00:02.0").outlook.remarks, Contains(HasSubstr("console")));
}

TEST(Power9, BridgesComeWithTheirGpus) {
  const auto map = map_of("power9-v100");
  EXPECT_TRUE(map.has_segments);
  EXPECT_THAT(members_of(map, 4), ElementsAre("0004:04:00.0", "0006:00:00.0", "0006:00:00.1"));
  EXPECT_THAT(members_of(map, 12), ElementsAre("0007:00:02.0", "0007:00:02.1", "0035:05:00.0"));
  const auto& gpu = function_of(map, "0035:03:00.0");
  EXPECT_THAT(taken_with(gpu), ElementsAre("0035:03:00.0", "0007:00:00.0", "0007:00:00.1"));
  EXPECT_EQ(passable_gpus(map).size(), 6U);
  EXPECT_EQ(verdict_text(gpu), "can be passed, with 1 other slot of its IOMMU group");
  EXPECT_THAT(entries_toml(map, gpu),
              AllOf(HasSubstr("host = \"0035:03:00.0\""), HasSubstr("host = \"0007:00:00.0\"")));
  EXPECT_THAT(tree_text(map, MapFilter::kGpus),
              HasSubstr("├── 10\n│   ├── 0007:00:00.0 Bridge [0680]: IBM"));
}

TEST(Hgx, EachGpuIsAloneAndThoseInUseAreNamed) {
  const auto map = map_of("hgx-h200");
  unsigned gpus = 0;
  for (const MapFunction& function : map.functions) {
    if (function.ids.device == 0x2335) {
      ++gpus;
      EXPECT_THAT(taken_with(function), ElementsAre(function.address.to_string()));
      EXPECT_EQ(function.bars->at(1).size, std::uint64_t{256} << 30);
    }
  }
  EXPECT_EQ(gpus, 8U);
  const auto& owned = function_of(map, "0000:1b:00.0");
  EXPECT_EQ(owned.owner, "a guest (gpuvm, pid 4711)");
  EXPECT_THAT(owned.outlook.obstacles, Contains(HasSubstr("belongs to a guest")));
  const auto& dirty = function_of(map, "0000:43:00.0");
  EXPECT_EQ(dirty.dirty, "the run was killed");
  EXPECT_TRUE(dirty.outlook.can_be_passed());  // after its repair
  EXPECT_THAT(dirty.outlook.remarks, Contains(HasSubstr("is dirty")));
  EXPECT_TRUE(function_of(map, "0000:df:00.0").outlook.can_be_passed());
  EXPECT_TRUE(function_of(map, "0000:07:00.0").outlook.can_be_passed());  // an NVSwitch
}

TEST(Apu, TheHostKeepsWhatItNeedsAndNoResetStopsTheGpu) {
  const auto map = map_of("apu-desktop");
  const auto& gpu = function_of(map, "0000:34:00.0");
  ASSERT_EQ(gpu.outlook.entries.size(), 1U);
  EXPECT_THAT(gpu.outlook.entries[0].functions, ElementsAre(0, 1));
  EXPECT_THAT(taken_with(gpu), ElementsAre("0000:34:00.0", "0000:34:00.1"));
  EXPECT_THAT(gpu.outlook.obstacles, Contains(HasSubstr("No safe reset")));
  EXPECT_THAT(gpu.outlook.remarks, Contains(HasSubstr("console")));
  EXPECT_THAT(passable_gpus(map), IsEmpty());
  EXPECT_TRUE(function_of(map, "0000:34:00.2").stays_with_host());  // the security processor
  EXPECT_THAT(function_of(map, "0000:34:00.3").outlook.remarks,
              Contains(HasSubstr("what is plugged in: 1-1 1-2")));
  EXPECT_THAT(entries_toml(map, gpu), HasSubstr("functions = [0, 1]"));
}

TEST(NoIommu, NothingCanBePassedAndTheReasonIsTold) {
  const auto map = map_of("desktop-no-iommu");
  EXPECT_FALSE(map.has_iommu);
  ASSERT_EQ(map.groups.size(), 1U);
  EXPECT_FALSE(map.groups[0].number);
  EXPECT_THAT(passable_gpus(map), IsEmpty());
  EXPECT_THAT(function_of(map, "0000:01:00.0").outlook.obstacles,
              Contains(HasSubstr("no IOMMU at work")));
  EXPECT_THAT(tree_text(map, MapFilter::kAll),
              HasSubstr("└── no group: the host has no IOMMU at work\n    ├── 00:00.0 Host"));
}

}  // namespace
}  // namespace gpuvm::hosts_test
