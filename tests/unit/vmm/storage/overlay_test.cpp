// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/overlay.hpp"

#include <gmock/gmock.h>
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

}  // namespace
}  // namespace gpuvm::overlay_test
