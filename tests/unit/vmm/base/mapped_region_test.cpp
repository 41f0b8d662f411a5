// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/mapped_region.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "tests/fixtures/vm_flags.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::mapped_region_test {
namespace {

/// mincore(2) fails with ENOMEM where nothing is mapped.
bool is_mapped(std::byte* address) {
  unsigned char resident = 0;
  return ::mincore(address, kPageSize, &resident) == 0;
}

TEST(MappedRegion, RefusesWhatIsNotWholePages) {
  EXPECT_FALSE(MappedRegion::create({.size = 0}));
  EXPECT_FALSE(MappedRegion::create({.size = 4095}));
  EXPECT_FALSE(MappedRegion::create({.size = 4097}));
}

TEST(MappedRegion, AnonymousIsZeroAndWritable) {
  auto region = MappedRegion::create({.size = 8192});
  ASSERT_TRUE(region);
  EXPECT_EQ(region->size(), 8192U);
  EXPECT_EQ(region->bytes()[8191], std::byte{0});
  region->bytes()[8191] = std::byte{1};
  EXPECT_EQ(region->data()[8191], std::byte{1});
}

TEST(MappedRegion, IsInNoCoreDump) {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(fd.get(), 8192), 0);
  const auto shared = MappedRegion::create({.fd = fd.get(), .size = 8192, .alignment = 2_MiB});
  const auto anonymous = MappedRegion::create({.size = 8192, .shared = false});
  ASSERT_TRUE(shared);
  ASSERT_TRUE(anonymous);
  EXPECT_TRUE(test::has_vm_flag(shared->data(), "dd"));
  EXPECT_TRUE(test::has_vm_flag(anonymous->data(), "dd"));
  EXPECT_TRUE(test::has_vm_flag(shared->data() + kPageSize, "dd"));
  const std::vector<std::byte> heap(4_MiB);
  EXPECT_FALSE(test::has_vm_flag(heap.data() + 2_MiB, "dd")) << "the test sees no difference";
}

TEST(MappedRegion, AlignsAsAsked) {
  for (const std::uint64_t alignment : {std::uint64_t{4096}, 64_KiB, 2_MiB, 1_GiB}) {
    auto region = MappedRegion::create({.size = 12288, .alignment = alignment});
    ASSERT_TRUE(region);
    EXPECT_TRUE(is_aligned(reinterpret_cast<std::uintptr_t>(region->data()), alignment));
  }
}

TEST(MappedRegion, MapsAFileAtAnOffset) {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(fd.get(), 8192), 0);
  constexpr char kText[] = "here";
  ASSERT_EQ(::pwrite(fd.get(), kText, 4, 4096), 4);
  auto region = MappedRegion::create(
      {.fd = fd.get(), .offset = 4096, .size = 4096, .alignment = 2_MiB, .writable = false});
  ASSERT_TRUE(region);
  EXPECT_EQ(region->data()[0], std::byte{'h'});
}

TEST(MappedRegion, SharedWritesReachTheFileAndPrivateOnesDoNot) {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
  auto shared = MappedRegion::create({.fd = fd.get(), .size = 4096});
  auto own = MappedRegion::create({.fd = fd.get(), .size = 4096, .shared = false});
  ASSERT_TRUE(shared);
  ASSERT_TRUE(own);
  own->data()[0] = std::byte{1};
  EXPECT_EQ(shared->data()[0], std::byte{0});
  shared->data()[1] = std::byte{2};
  std::array<char, 2> content{};
  ASSERT_EQ(::pread(fd.get(), content.data(), 2, 0), 2);
  EXPECT_EQ(content[1], 2);
}

TEST(MappedRegion, ErrorsAreOfTheHost) {
  const auto region = MappedRegion::create({.fd = 1'000'000, .size = 4096, .alignment = 2_MiB});
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().kind(), ErrorKind::kHost);
}

TEST(MappedRegion, UnmapsExactlyOnce) {
  std::byte* address = nullptr;
  {
    auto region = MappedRegion::create({.size = 4096, .alignment = 2_MiB});
    ASSERT_TRUE(region);
    address = region->data();
    MappedRegion moved = std::move(*region);
    EXPECT_FALSE(*region);  // NOLINT(bugprone-use-after-move): that is what is tested
    EXPECT_EQ(moved.data(), address);
    EXPECT_TRUE(is_mapped(address));
  }
  EXPECT_FALSE(is_mapped(address));
}

TEST(MappedRegion, AssignmentReleasesTheOldMapping) {
  auto first = MappedRegion::create({.size = 4096, .alignment = 2_MiB});
  std::byte* const old = first->data();
  {
    auto second = MappedRegion::create({.size = 4096, .alignment = 4_MiB});
    *first = std::move(*second);
  }
  EXPECT_FALSE(is_mapped(old));
  EXPECT_TRUE(is_mapped(first->data()));
}

}  // namespace
}  // namespace gpuvm::mapped_region_test
