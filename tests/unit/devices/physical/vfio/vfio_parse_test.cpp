// SPDX-License-Identifier: Apache-2.0
// Answers as the kernel lays them out (include/uapi/linux/vfio.h), and answers that lie.
#include "devices/physical/vfio/vfio_parse.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::vfio::vfio_parse_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

using Bytes = std::vector<std::byte>;

template <class... Values>
void put(Bytes& bytes, Values... values) {
  (append_bytes(bytes, values), ...);
}
std::uint16_t u16(unsigned value) {
  return static_cast<std::uint16_t>(value);
}
std::uint32_t u32(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint64_t u64(std::uint64_t value) {
  return value;
}

// struct vfio_region_info: argsz, flags, index, cap_offset, size, offset.
Bytes region(std::uint32_t flags, std::uint32_t cap_offset, std::uint64_t size,
             std::uint64_t offset = 0x10000000000) {
  Bytes bytes;
  put(bytes, u32(32), flags, u32(0), cap_offset, size, offset);
  return bytes;
}
constexpr std::uint32_t kReadWriteMap = 7;
constexpr std::uint32_t kCaps = 8;

TEST(VfioRegion, ReadsFlagsAndSize) {
  const auto parsed = parse_region_info(region(kReadWriteMap, 0, 16_MiB));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->info.size, 16_MiB);
  EXPECT_EQ(parsed->file_offset, 0x10000000000u);
  EXPECT_TRUE(parsed->info.readable && parsed->info.writable && parsed->info.mappable);
  EXPECT_FALSE(parsed->info.msix_mappable);
  EXPECT_FALSE(parse_region_info(region(2, 0, 4096))->info.readable);
}

TEST(VfioRegion, ReadsSparseAreasAndMsixMappableFromAChain) {
  Bytes answer = region(kReadWriteMap | kCaps, 32, 64_KiB);
  put(answer, u16(3), u16(1), u32(40));                 // MSI-X mappable, next at 40
  put(answer, u16(1), u16(1), u32(0), u32(2), u32(0));  // sparse, two areas
  put(answer, u64(0), u64(4_KiB), u64(8_KiB), u64(56_KiB));
  const auto parsed = parse_region_info(answer);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->info.msix_mappable);
  ASSERT_EQ(parsed->info.sparse_areas.size(), 2u);
  EXPECT_EQ(parsed->info.sparse_areas[1].offset, 8_KiB);
  EXPECT_EQ(parsed->info.sparse_areas[1].size, 56_KiB);
}

TEST(VfioRegion, ReadsTypeOfADeviceSpecificRegion) {
  Bytes answer = region(kReadWriteMap | kCaps, 32, 64_KiB);
  put(answer, u16(4), u16(1), u32(48), u64(0x4000'0000));  // NVLink2 SSATGT, next at 48
  put(answer, u16(2), u16(1), u32(0), u32(0x800010de), u32(1));
  const auto parsed = parse_region_info(answer);
  ASSERT_TRUE(parsed);
  ASSERT_TRUE(parsed->info.type);
  EXPECT_EQ(*parsed->info.type, (RegionType{0x800010de, 1}));
  answer.resize(answer.size() - 1);  // cut short
  EXPECT_FALSE(parse_region_info(answer)->info.type);
  EXPECT_FALSE(parse_region_info(region(kReadWriteMap, 0, 4096))->info.type);
}

TEST(VfioRegion, DropsAreasOutsideTheRegionAndAreasThatAreNotThere) {
  Bytes answer = region(kReadWriteMap | kCaps, 32, 64_KiB);
  put(answer, u16(1), u16(1), u32(0), u32(0xffffffff), u32(0));
  put(answer, u64(0), u64(64_KiB + 1));             // too long
  put(answer, u64(64_KiB), u64(4_KiB));             // behind the end
  put(answer, u64(~0ULL & ~0xfffULL), u64(8_KiB));  // wraps
  put(answer, u64(100), u64(4_KiB));                // not page aligned
  put(answer, u64(0), u64(0));                      // empty
  const auto parsed = parse_region_info(answer);
  ASSERT_TRUE(parsed);
  EXPECT_THAT(parsed->info.sparse_areas, IsEmpty());
  EXPECT_FALSE(parsed->info.mappable);
}

TEST(VfioRegion, ChainThatLoopsOrLeavesTheAnswerEnds) {
  Bytes loop = region(kReadWriteMap | kCaps, 32, 64_KiB);
  put(loop, u16(99), u16(1), u32(40), u16(98), u16(1), u32(32));
  ASSERT_TRUE(parse_region_info(loop));
  EXPECT_FALSE(find_capability(loop, 32, 3));
  Bytes outside = region(kReadWriteMap | kCaps, 0xfffffffc, 64_KiB);
  ASSERT_TRUE(parse_region_info(outside));
  Bytes cut = region(kReadWriteMap | kCaps, 32, 64_KiB);
  put(cut, u16(1), u16(1));
  ASSERT_TRUE(parse_region_info(cut));
  EXPECT_TRUE(parse_region_info(cut)->info.mappable);
}

TEST(VfioRegion, RefusesShortAnswersAndImpossibleOffsets) {
  EXPECT_FALSE(parse_region_info(Bytes(31)));
  EXPECT_FALSE(parse_region_info(region(1, 0, 4096, 1ULL << 63)));
  EXPECT_FALSE(parse_region_info(region(1, 0, ~0ULL, 4096)));
}

// struct vfio_device_info: argsz, flags, num_regions, num_irqs, cap_offset.
Bytes device(std::uint32_t flags, std::uint32_t cap_offset) {
  Bytes bytes;
  put(bytes, u32(20), flags, u32(9), u32(5), cap_offset);
  return bytes;
}
constexpr std::uint32_t kPciDevice = 2;
constexpr std::uint32_t kDeviceCaps = 1 << 7;

// As Linux 6.5 and later lay it out: a word of padding ends the structure.
TEST(VfioDeviceInfo, ReadsAtomicCompletersBesideOtherCapabilities) {
  Bytes answer = device(1 | kPciDevice | kDeviceCaps, 24);
  put(answer, u32(0));
  put(answer, u16(1), u16(1), u32(36), u32(0));         // a capability of another kind
  put(answer, u16(5), u16(1), u32(0), u32(3), u32(0));  // 32 and 64 bits
  const auto parsed = parse_device_info(answer);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->flags, 1 | kPciDevice | kDeviceCaps);
  EXPECT_EQ(parsed->regions, 9U);
  EXPECT_EQ(parsed->irqs, 5U);
  EXPECT_EQ(parsed->atomic_completers, 1U << 7 | 1U << 8);
  EXPECT_EQ(parsed->capabilities, (std::vector<std::uint16_t>{1, 5}));
}

TEST(VfioDeviceInfo, KnowsThreeWidthsAndNoOtherFlag) {
  Bytes answer = device(kPciDevice | kDeviceCaps, 20);
  put(answer, u16(5), u16(1), u32(0), ~0U, u32(0));
  EXPECT_EQ(parse_device_info(answer)->atomic_completers, 7U << 7);
}

TEST(VfioDeviceInfo, OldAnswersAndBrokenChainsHaveNone) {
  Bytes old = device(kPciDevice, 0);
  old.resize(16);
  ASSERT_TRUE(parse_device_info(old));
  EXPECT_EQ(parse_device_info(old)->atomic_completers, 0U);
  Bytes unsaid = device(kPciDevice, 20);  // without the flag the offset means nothing
  put(unsaid, u16(5), u16(1), u32(0), u32(3), u32(0));
  EXPECT_EQ(parse_device_info(unsaid)->atomic_completers, 0U);
  Bytes loop = device(kPciDevice | kDeviceCaps, 20);
  put(loop, u16(9), u16(1), u32(20), u32(3), u32(0));
  EXPECT_EQ(parse_device_info(loop)->atomic_completers, 0U);
  EXPECT_EQ(parse_device_info(loop)->capabilities, std::vector<std::uint16_t>(64, 9));
  Bytes cut = device(kPciDevice | kDeviceCaps, 20);
  put(cut, u16(5), u16(1), u32(0));
  EXPECT_EQ(parse_device_info(cut)->atomic_completers, 0U);
  EXPECT_EQ(parse_device_info(device(kPciDevice | kDeviceCaps, ~0U))->atomic_completers, 0U);
  EXPECT_FALSE(parse_device_info(Bytes(15)));
}

TEST(VfioIommu, ReadsRangesBesideOtherCapabilities) {
  Bytes answer;  // argsz, flags, iova_pgsizes, cap_offset, (padding)
  put(answer, u32(24), u32(3), u64(0xfffffffffffff000), u32(24), u32(0));
  put(answer, u16(1), u16(1), u32(72), u32(2), u32(0));
  put(answer, u64(0), u64(0xfedfffff), u64(0xfef00000), u64(0x7fffffffff));
  put(answer, u16(3), u16(1), u32(0), u32(65535));
  ASSERT_EQ(answer.size(), 84u);
  const auto ranges = parse_iova_ranges(answer);
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 2u);
  EXPECT_EQ((*ranges)[0].last(), Iova(0xfedfffff));
  EXPECT_EQ((*ranges)[1].base(), Iova(0xfef00000));
}

TEST(VfioIommu, OldShortAnswerHasNoRanges) {
  Bytes answer;
  put(answer, u32(16), u32(1), u64(0x1000));
  const auto ranges = parse_iova_ranges(answer);
  ASSERT_TRUE(ranges);
  EXPECT_THAT(*ranges, IsEmpty());
  EXPECT_FALSE(parse_iova_ranges(Bytes(15)));
}

TEST(VfioIommu, DropsReversedRangesAndBelievesNoCount) {
  Bytes answer;
  put(answer, u32(24), u32(3), u64(0x1000), u32(24), u32(0));
  put(answer, u16(1), u16(1), u32(0), u32(1000), u32(0));
  put(answer, u64(0x2000), u64(0x1fff), u64(0), u64(~0ULL));
  const auto ranges = parse_iova_ranges(answer);
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 1u);
  EXPECT_EQ((*ranges)[0].base(), Iova(0));
}

TEST(VfioIova, MustLieInOneRange) {
  const std::vector<IovaRange> usable{*IovaRange::create(Iova(0), 0xfee00000),
                                      *IovaRange::create(Iova(0xfef00000), 0x100000000)};
  EXPECT_TRUE(check_iova(usable, Iova(0), 0xfee00000));
  EXPECT_FALSE(check_iova(usable, Iova(0), 0xfee00001));
  EXPECT_FALSE(check_iova(usable, Iova(0xfee00000), 0x1000));
  EXPECT_FALSE(check_iova(usable, Iova(0xfef00000), ~0ULL));
  EXPECT_THAT(check_iova(usable, Iova(0xfee00000), 0x1000).error().message(),
              HasSubstr("0x0 to 0xfedfffff"));
  EXPECT_TRUE(check_iova({}, Iova(0xfee00000), 0x1000));
}

TEST(VfioHotReset, ReadsMembers) {
  Bytes answer;  // argsz, flags, count; group, segment, bus, devfn
  put(answer, u32(28), u32(0), u32(2));
  put(answer, u32(13), u16(0), std::uint8_t{1}, std::uint8_t{0});
  put(answer, u32(14), u16(1), std::uint8_t{0x42}, std::uint8_t{0xfb});
  const auto members = parse_hot_reset_info(answer);
  ASSERT_TRUE(members);
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[0].bdf.to_string(), "0000:01:00.0");
  EXPECT_EQ((*members)[1].bdf.to_string(), "0001:42:1f.3");
  EXPECT_EQ((*members)[1].group, 14u);
}

TEST(VfioHotReset, RefusesACountBeyondTheAnswer) {
  Bytes answer;
  put(answer, u32(20), u32(0), u32(2), u64(0));
  EXPECT_FALSE(parse_hot_reset_info(answer));
  answer.clear();
  put(answer, u32(12), u32(0), u32(0xffffffff));
  EXPECT_FALSE(parse_hot_reset_info(answer));
  EXPECT_FALSE(parse_hot_reset_info(Bytes(11)));
}

TEST(VfioIrqSet, CarriesEventfds) {
  const std::array<int, 3> fds{7, -1, 9};
  Bytes expected;  // argsz, flags EVENTFD | TRIGGER, index MSI-X, start, count, fds
  put(expected, u32(32), u32(4 | 32), u32(2), u32(5), u32(3), 7, -1, 9);
  EXPECT_EQ(build_irq_set(IrqType::kMsix, IrqAction::kTrigger, 5, 0, fds), expected);
}

TEST(VfioIrqSet, DisablesWithCountZero) {
  Bytes expected;  // DATA_NONE | TRIGGER
  put(expected, u32(20), u32(1 | 32), u32(1), u32(0), u32(0));
  EXPECT_EQ(build_irq_set(IrqType::kMsi, IrqAction::kTrigger, 0, 0, {}), expected);
}

TEST(VfioIrqSet, MasksAndUnmasks) {
  Bytes mask;
  put(mask, u32(20), u32(1 | 8), u32(0), u32(0), u32(1));
  EXPECT_EQ(build_irq_set(IrqType::kIntx, IrqAction::kMask, 0, 1, {}), mask);
  Bytes unmask;
  put(unmask, u32(20), u32(1 | 16), u32(0), u32(0), u32(1));
  EXPECT_EQ(build_irq_set(IrqType::kIntx, IrqAction::kUnmask, 0, 1, {}), unmask);
}

TEST(VfioHotReset, ArgumentHoldsEveryGroup) {
  const std::array<int, 2> fds{5, 6};
  Bytes expected;
  put(expected, u32(20), u32(0), u32(2), 5, 6);
  EXPECT_EQ(build_hot_reset(fds), expected);
}

}  // namespace
}  // namespace gpuvm::vfio::vfio_parse_test
