// SPDX-License-Identifier: Apache-2.0
// UEFI 2.10, section 7.2: AllocatePages, FreePages, GetMemoryMap.
#include "firmware/efi/memory_map.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace gpuvm::efi::memory_map_test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;
constexpr std::uint64_t kPage = kEfiPageSize;

class MemoryMapTest : public testing::Test {
 protected:
  MemoryMapTest() {
    EXPECT_EQ(map_.add(MemoryType::kConventional, 0, 256 * kMiB / kPage), EfiStatus::kSuccess);
  }
  EfiStatus allocate(AllocateType how, std::uint64_t pages, std::uint64_t& address,
                     MemoryType type = MemoryType::kLoaderData) {
    return map_.allocate(how, type, pages, address);
  }
  MemoryMap map_;
};

TEST_F(MemoryMapTest, AllocatesAtAnExactAddressAndOnlyOnce) {
  std::uint64_t at = 16 * kMiB;
  EXPECT_EQ(allocate(AllocateType::kAddress, 16, at), EfiStatus::kSuccess);
  EXPECT_EQ(at, 16 * kMiB);
  EXPECT_EQ(map_.type_at(at + 15 * kPage), MemoryType::kLoaderData);
  EXPECT_EQ(map_.type_at(at + 16 * kPage), MemoryType::kConventional);
  EXPECT_EQ(allocate(AllocateType::kAddress, 1, at), EfiStatus::kNotFound);
  at = 256 * kMiB - kPage;
  EXPECT_EQ(allocate(AllocateType::kAddress, 2, at), EfiStatus::kNotFound);
  at = 16 * kMiB + 1;
  EXPECT_EQ(allocate(AllocateType::kAddress, 1, at), EfiStatus::kInvalidParameter);
}

// UEFI 2.10, 7.2.3: EFI_MEMORY_SP is memory for a purpose of its own, which nobody is given.
TEST_F(MemoryMapTest, SpecificPurposeMemoryIsDescribedOnly) {
  ASSERT_EQ(map_.add(MemoryMap::kSpecificPurpose, 4 * kGiB, kGiB / kPage), EfiStatus::kSuccess);
  EXPECT_EQ(map_.end_of_ram(), 256 * kMiB);
  std::uint64_t at = 4 * kGiB;
  EXPECT_EQ(allocate(AllocateType::kAddress, 1, at), EfiStatus::kNotFound);
  at = 8 * kGiB;
  EXPECT_EQ(allocate(AllocateType::kMaxAddress, 256 * kMiB / kPage, at), EfiStatus::kNotFound);
  EXPECT_EQ(map_.release(4 * kGiB, 1), EfiStatus::kNotFound);
  std::vector<std::uint8_t> bytes(4096);
  std::uint64_t size = bytes.size();
  std::uint64_t key = 0;
  ASSERT_EQ(map_.write_to(bytes.data(), size, key), EfiStatus::kSuccess);
  ASSERT_EQ(size, 2 * kDescriptorSize);
  MemoryDescriptor last{};
  std::memcpy(&last, bytes.data() + kDescriptorSize, sizeof last);
  EXPECT_EQ(last.physical_start, 4 * kGiB);
  EXPECT_EQ(last.type, static_cast<std::uint32_t>(MemoryType::kConventional));
  EXPECT_EQ(last.attributes, 0x4000fU);  // SP, UC, WC, WT, WB
}

TEST_F(MemoryMapTest, AMaximumAddressIsTheLastByteAllowed) {
  std::uint64_t at = 32 * kMiB - 1;
  EXPECT_EQ(allocate(AllocateType::kMaxAddress, 2, at), EfiStatus::kSuccess);
  EXPECT_EQ(at, 32 * kMiB - 2 * kPage);
  at = 2 * kPage - 1;
  EXPECT_EQ(allocate(AllocateType::kMaxAddress, 1, at), EfiStatus::kSuccess);
  EXPECT_EQ(at, kPage);
  at = 2 * kPage - 1;  // only page 0 is left there, which is not given away unasked
  EXPECT_EQ(allocate(AllocateType::kMaxAddress, 1, at), EfiStatus::kNotFound);
  at = 0;
  EXPECT_EQ(allocate(AllocateType::kAddress, 1, at), EfiStatus::kSuccess);
}

TEST_F(MemoryMapTest, AnyPagesPrefersMemoryBelow4GiB) {
  EXPECT_EQ(map_.add(MemoryType::kConventional, 4 * kGiB, kGiB / kPage), EfiStatus::kSuccess);
  std::uint64_t at = 0;
  EXPECT_EQ(allocate(AllocateType::kAnyPages, 1, at), EfiStatus::kSuccess);
  EXPECT_EQ(at, 256 * kMiB - kPage);
  EXPECT_EQ(allocate(AllocateType::kAnyPages, 512 * kMiB / kPage, at), EfiStatus::kSuccess);
  EXPECT_EQ(at, 5 * kGiB - 512 * kMiB);
  EXPECT_EQ(allocate(AllocateType::kAnyPages, kGiB / kPage, at), EfiStatus::kOutOfResources);
}

TEST_F(MemoryMapTest, TypesThatOnlyDescribeCannotBeAllocated) {
  std::uint64_t at = 0;
  for (const auto type : {MemoryType::kConventional, MemoryType::kPersistent,
                          MemoryType::kUnaccepted, MemoryType::kLimit, MemoryType{0x6fffffff}}) {
    EXPECT_EQ(allocate(AllocateType::kAnyPages, 1, at, type), EfiStatus::kInvalidParameter);
  }
  EXPECT_EQ(allocate(AllocateType::kAnyPages, 1, at, MemoryType{0x70000000}), EfiStatus::kSuccess);
  EXPECT_EQ(allocate(AllocateType{3}, 1, at), EfiStatus::kInvalidParameter);
  EXPECT_EQ(allocate(AllocateType::kAnyPages, 0, at), EfiStatus::kInvalidParameter);
  EXPECT_EQ(allocate(AllocateType::kAnyPages, ~std::uint64_t{0}, at), EfiStatus::kOutOfResources);
}

TEST_F(MemoryMapTest, FreesPartsAndRefusesWhatIsFree) {
  std::uint64_t at = 16 * kMiB;
  ASSERT_EQ(allocate(AllocateType::kAddress, 4, at), EfiStatus::kSuccess);
  EXPECT_EQ(map_.release(at + kPage, 2), EfiStatus::kSuccess);
  EXPECT_EQ(map_.release(at, 4), EfiStatus::kNotFound);
  EXPECT_EQ(map_.release(at, 1), EfiStatus::kSuccess);
  EXPECT_EQ(map_.release(at + 3 * kPage, 1), EfiStatus::kSuccess);
  EXPECT_EQ(map_.count(), 1U);  // one piece again
  EXPECT_EQ(map_.release(at + 1, 1), EfiStatus::kInvalidParameter);
  EXPECT_EQ(map_.release(at, 0), EfiStatus::kInvalidParameter);
  EXPECT_EQ(map_.release(~std::uint64_t{0} - kPage + 1, 2), EfiStatus::kNotFound);
}

TEST_F(MemoryMapTest, RuntimeMemoryHasItsAttribute) {
  std::uint64_t at = 0;
  ASSERT_EQ(allocate(AllocateType::kAnyPages, 1, at, MemoryType::kRuntimeServicesData),
            EfiStatus::kSuccess);
  EXPECT_NE(map_.at(map_.count() - 1).attributes & kMemoryRuntime, 0U);
  EXPECT_EQ(map_.at(0).attributes & kMemoryRuntime, 0U);
}

TEST_F(MemoryMapTest, TheKeyChangesWithEveryChangeAndOnlyThen) {
  const auto before = map_.key();
  std::uint64_t at = 1;
  EXPECT_NE(allocate(AllocateType::kAddress, 1, at), EfiStatus::kSuccess);
  EXPECT_EQ(map_.key(), before);
  at = kMiB;
  EXPECT_EQ(allocate(AllocateType::kAddress, 1, at), EfiStatus::kSuccess);
  const auto allocated = map_.key();
  EXPECT_NE(allocated, before);
  EXPECT_EQ(map_.release(at, 1), EfiStatus::kSuccess);
  EXPECT_NE(map_.key(), allocated);
  EXPECT_NE(map_.key(), before);
}

TEST_F(MemoryMapTest, WritesTheMapOnlyIntoEnoughRoom) {
  std::uint64_t size = 0;
  std::uint64_t key = 0;
  EXPECT_EQ(map_.write_to(nullptr, size, key), EfiStatus::kBufferTooSmall);
  EXPECT_EQ(size, kDescriptorSize);
  std::vector<std::byte> out(kDescriptorSize);
  size = out.size() - 1;
  EXPECT_EQ(map_.write_to(out.data(), size, key), EfiStatus::kBufferTooSmall);
  EXPECT_EQ(map_.write_to(out.data(), size, key), EfiStatus::kSuccess);
  EXPECT_EQ(key, map_.key());
}

TEST(MemoryMap, RefusesRangesThatCannotBe) {
  MemoryMap map;
  EXPECT_EQ(map.add(MemoryType::kConventional, 1, 1), EfiStatus::kInvalidParameter);
  EXPECT_EQ(map.add(MemoryType::kConventional, 0, 0), EfiStatus::kInvalidParameter);
  EXPECT_EQ(map.add(MemoryType::kConventional, ~std::uint64_t{0} << 12, 2),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(map.add(MemoryType::kConventional, kMiB, 256), EfiStatus::kSuccess);
  EXPECT_EQ(map.add(MemoryType::kReserved, 2 * kMiB - kPage, 1), EfiStatus::kInvalidParameter);
  EXPECT_EQ(map.add(MemoryType::kReserved, 2 * kMiB, 1), EfiStatus::kSuccess);
}

TEST(MemoryMap, AFullMapRefusesAndStaysWhole) {
  MemoryMap map;
  ASSERT_EQ(map.add(MemoryType::kConventional, 0, 4 * MemoryMap::kCapacity), EfiStatus::kSuccess);
  EfiStatus status = EfiStatus::kSuccess;
  for (std::uint64_t i = 1; status == EfiStatus::kSuccess && i < 2 * MemoryMap::kCapacity; ++i) {
    std::uint64_t at = 2 * i * kPage;
    status = map.allocate(AllocateType::kAddress, MemoryType::kLoaderData, 1, at);
  }
  EXPECT_EQ(status, EfiStatus::kOutOfResources);
  std::uint64_t pages = 0;
  for (std::size_t i = 0; i < map.count(); ++i) {
    pages += map.at(i).pages;
  }
  EXPECT_EQ(pages, 4 * MemoryMap::kCapacity);
}

/// One type per page.
using Model = std::map<std::uint64_t, MemoryType>;

/// The map must say of each page what the model says, sorted, without gaps or overlaps, with no two
/// neighbours that could be one.
void compare(const MemoryMap& map, const Model& model) {
  std::uint64_t pages = 0;
  for (std::size_t i = 0; i < map.count(); ++i) {
    const auto& entry = map.at(i);
    for (std::uint64_t p = 0; p < entry.pages; ++p) {
      const auto found = model.find(entry.physical_start + p * kPage);
      ASSERT_NE(found, model.end());
      ASSERT_EQ(static_cast<std::uint32_t>(found->second), entry.type);
    }
    pages += entry.pages;
    if (i > 0) {
      const auto& last = map.at(i - 1);
      const auto end = last.physical_start + last.pages * kPage;
      ASSERT_LE(end, entry.physical_start);
      ASSERT_FALSE(end == entry.physical_start && last.type == entry.type);
    }
  }
  ASSERT_EQ(pages, model.size());
}

bool all_of(const Model& model, std::uint64_t base, std::uint64_t pages, bool free) {
  for (std::uint64_t p = 0; p < pages; ++p) {
    const auto found = model.find(base + p * kPage);
    if (found == model.end() || (found->second == MemoryType::kConventional) != free) {
      return false;
    }
  }
  return true;
}

/// The highest free place at or below `limit`, page 0 left out.
std::uint64_t highest(const Model& model, std::uint64_t pages, std::uint64_t limit) {
  for (auto it = model.rbegin(); it != model.rend(); ++it) {
    if (it->first != 0 && it->first + pages * kPage <= limit &&
        all_of(model, it->first, pages, true)) {
      return it->first;
    }
  }
  return 0;
}

class MemoryMapFuzz : public testing::TestWithParam<unsigned> {};

TEST_P(MemoryMapFuzz, AgreesWithAMapOfPages) {
  std::mt19937 random(GetParam());
  const auto pick = [&](std::uint64_t below) { return random() % below; };
  constexpr std::uint64_t kPages = 96;
  MemoryMap map;
  Model model;
  for (const std::uint64_t base : {std::uint64_t{0}, 2 * kPages * kPage}) {
    ASSERT_EQ(map.add(MemoryType::kConventional, base, kPages), EfiStatus::kSuccess);
    for (std::uint64_t p = 0; p < kPages; ++p) {
      model[base + p * kPage] = MemoryType::kConventional;
    }
  }
  for (int step = 0; step < 400; ++step) {
    const std::uint64_t pages = 1 + pick(12);
    std::uint64_t at = pick(3 * kPages + 4) * kPage;
    const auto type = static_cast<MemoryType>(1 + pick(6));
    if (pick(2) == 0) {
      const auto how = static_cast<AllocateType>(pick(3));
      std::uint64_t expected = 0;
      bool possible = false;
      if (how == AllocateType::kAddress) {
        expected = at;
        possible = all_of(model, at, pages, true);
      } else {
        expected = highest(model, pages, how == AllocateType::kAnyPages ? 4 * kGiB : at + 1);
        possible = expected != 0;
      }
      const auto status = map.allocate(how, type, pages, at);
      ASSERT_EQ(status == EfiStatus::kSuccess, possible);
      if (possible) {
        ASSERT_EQ(at, expected);
        for (std::uint64_t p = 0; p < pages; ++p) {
          model[at + p * kPage] = type;
        }
      }
    } else {
      const bool possible = all_of(model, at, pages, false);
      ASSERT_EQ(map.release(at, pages) == EfiStatus::kSuccess, possible);
      for (std::uint64_t p = 0; possible && p < pages; ++p) {
        model[at + p * kPage] = MemoryType::kConventional;
      }
    }
    ASSERT_NO_FATAL_FAILURE(compare(map, model));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MemoryMapFuzz, testing::Range(0U, 20U));

}  // namespace
}  // namespace gpuvm::efi::memory_map_test
