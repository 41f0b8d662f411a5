// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/overlay.hpp"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vmm/storage/image_header.hpp"

namespace gpuvm::overlay_test {
namespace {

std::uint64_t be(std::span<const std::byte> bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[at + i]);
  }
  return value;
}

// qcow2.txt, "Header", "Refcount management" and "Cluster mapping".
TEST(OverlayTest, AnEmptyImageWithoutAName) {
  constexpr std::uint64_t kSize = std::uint64_t{9} << 40;  // more than one cluster of the L1 table
  const auto file = make_overlay(kSize);
  ASSERT_TRUE(file) << file.error().to_string();
  struct stat status {};
  ASSERT_EQ(::fstat(file->get(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  ASSERT_EQ(::pread(file->get(), bytes.data(), bytes.size(), 0), status.st_size);
  const auto header = parse_image_header(ImageFormat::kQcow2, bytes, "overlay");
  ASSERT_TRUE(header) << header.error().to_string();
  EXPECT_EQ(header->size, kSize);
  EXPECT_EQ(header->backing, "");
  const auto entries = be(bytes, 36, 4);
  EXPECT_EQ(entries, kSize >> 29);
  EXPECT_LE(be(bytes, 40, 8) + entries * 8, bytes.size());
  const auto table = be(bytes, 48, 8);
  const auto block = be(bytes, table, 8);
  const std::size_t clusters = bytes.size() >> 16;
  for (std::size_t i = 0; i < clusters; ++i) {
    EXPECT_EQ(be(bytes, block + i * 2, 2), 1U) << i;
  }
  EXPECT_EQ(be(bytes, block + clusters * 2, 2), 0U);
}

TEST(OverlayTest, SizesThatCannotBe) {
  EXPECT_FALSE(make_overlay(0));
  EXPECT_FALSE(make_overlay(~std::uint64_t{0}));
  EXPECT_TRUE(make_overlay(512));
}

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// A disk that is written all over fits; one that is written again and again gets no larger.
TEST(OverlayTest, TheFileHasALimit) {
  for (const std::uint64_t size : {std::uint64_t{512}, kGiB, 1024 * kGiB}) {
    const auto most = most_of_overlay(size);
    EXPECT_GE(most, size + size / 8192 + size / 32768 + (1 << 20)) << "data, tables, counts";
    EXPECT_LE(most, size + size / 100 + (65 << 20));
    EXPECT_EQ(overlay_limit(0, most, {.free = 4000 * kGiB, .size = 8000 * kGiB}).bytes, most);
  }
}

// A sparse image is larger than the file system: the host keeps a part of that.
TEST(OverlayTest, TheHostKeepsAReserve) {
  const FileSystemRoom room{.free = 30 * kGiB, .size = 100 * kGiB};
  EXPECT_EQ(room.reserve(), 5 * kGiB);
  EXPECT_EQ((FileSystemRoom{.free = 0, .size = 4000 * kGiB}).reserve(), 8 * kGiB);
  EXPECT_EQ(overlay_limit(2 * kGiB, 1000 * kGiB, room).bytes, 27 * kGiB);
  EXPECT_FALSE(overlay_limit(2 * kGiB, 1000 * kGiB, room).is_full);
  for (const std::uint64_t free : {5 * kGiB, kGiB, std::uint64_t{0}}) {
    const auto limit = overlay_limit(2 * kGiB, 1000 * kGiB, {.free = free, .size = 100 * kGiB});
    EXPECT_EQ(limit.bytes, 2 * kGiB) << "what it has it may write anew";
    EXPECT_TRUE(limit.is_full);
  }
}

TEST(OverlayTest, TheLimitOfAFile) {
  const auto file = make_overlay(kGiB);
  ASSERT_TRUE(file);
  const auto limit = overlay_limit(file->get(), most_of_overlay(kGiB));
  ASSERT_TRUE(limit) << limit.error().to_string();
  EXPECT_LE(limit->bytes, most_of_overlay(kGiB));
  EXPECT_FALSE(overlay_limit(-1, kGiB));
  const UniqueFd unlimited(::memfd_create("overlay", MFD_CLOEXEC));  // of 0 blocks, it says
  const auto of_memory = overlay_limit(unlimited.get(), kGiB);
  ASSERT_TRUE(of_memory);
  EXPECT_EQ(of_memory->bytes, kGiB);
  EXPECT_FALSE(of_memory->is_full);
}

}  // namespace
}  // namespace gpuvm::overlay_test
