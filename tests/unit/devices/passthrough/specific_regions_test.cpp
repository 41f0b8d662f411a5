// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/specific_regions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpuvm::specific_regions_test {
namespace {

using testing::HasSubstr;

TEST(SpecificRegions, HaveNamesOrNumbers) {
  EXPECT_EQ(to_string(RegionType{0x800010de, 1}), "nvlink2-ram (NVIDIA's NVLink2 memory)");
  EXPECT_EQ(to_string(RegionType{0x80001234, 7}), "0x80001234:0x7");
  EXPECT_EQ(parse_memory_region("nvlink2-ram").value(), (RegionType{0x800010de, 1}));
  EXPECT_EQ(parse_memory_region("0x800010de:1").value(), (RegionType{0x800010de, 1}));
  EXPECT_EQ(parse_memory_region("0x80001234:0x10").value(), (RegionType{0x80001234, 16}));
}

TEST(SpecificRegions, RegistersAreNoMemory) {
  for (const char* text : {"nvlink2-atsd", "0x80001014:1", "intel-opregion"}) {
    const auto parsed = parse_memory_region(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind(), ErrorKind::kConfig);
    EXPECT_THAT(parsed.error().to_string(), HasSubstr("is no memory, but ")) << text;
  }
}

TEST(SpecificRegions, OtherTextIsRefusedWithWhatThereIs) {
  for (const char* text :
       {"", "nvlink", ":", "1:", ":1", "0x:1", "0x1:1x", "0x1ffffffff:1", "-1:1"}) {
    const auto parsed = parse_memory_region(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().to_string(), HasSubstr("give \"nvlink2-ram\"")) << text;
  }
}

}  // namespace
}  // namespace gpuvm::specific_regions_test
