// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/image_header.hpp"

#include <gmock/gmock.h>

#include "tests/unit/vmm/storage/qcow2_bytes.hpp"

namespace gpuvm::image_header_test {
namespace {

using test::Qcow2Bytes;
using ::testing::HasSubstr;

std::string error_of(ImageFormat format, const std::vector<std::byte>& bytes) {
  const auto header = parse_image_header(format, bytes, "image");
  return header ? "no error" : header.error().to_string();
}

TEST(ImageHeaderTest, AQcow2ImageOfItsOwn) {
  for (const std::uint32_t version : {2U, 3U}) {
    const auto header =
        parse_image_header(ImageFormat::kQcow2, Qcow2Bytes{.version = version}.bytes(), "image");
    ASSERT_TRUE(header) << header.error().to_string();
    EXPECT_EQ(header->size, 1U << 20);
    EXPECT_EQ(header->backing, "");
  }
}

TEST(ImageHeaderTest, WhatLiesBelowIt) {
  for (const std::uint32_t version : {2U, 3U}) {
    const Qcow2Bytes image{.version = version, .backing = "base.img", .backing_format = "raw"};
    const auto header = parse_image_header(ImageFormat::kQcow2, image.bytes(), "image");
    ASSERT_TRUE(header) << header.error().to_string();
    EXPECT_EQ(header->backing, "base.img");
    EXPECT_EQ(header->backing_format, ImageFormat::kRaw);
  }
  const Qcow2Bytes other{.backing = "b", .backing_format = "qcow2"};
  EXPECT_EQ(parse_image_header(ImageFormat::kQcow2, other.bytes(), "image")->backing_format,
            ImageFormat::kQcow2);
}

// A guest that writes all bytes of the base could make another format of it.
TEST(ImageHeaderTest, ABackingFileOfUnknownFormatIsNotGuessed) {
  EXPECT_THAT(error_of(ImageFormat::kQcow2, Qcow2Bytes{.backing = "b"}.bytes()),
              HasSubstr("qemu-img rebase -u -b b -F raw|qcow2 image"));
  EXPECT_THAT(
      error_of(ImageFormat::kQcow2, Qcow2Bytes{.backing = "b", .backing_format = "nbd"}.bytes()),
      HasSubstr("another format"));
}

TEST(ImageHeaderTest, WhatIsRefused) {
  const auto qcow2 = [](const Qcow2Bytes& image) {
    return error_of(ImageFormat::kQcow2, image.bytes());
  };
  EXPECT_THAT(qcow2({.version = 4}), HasSubstr("of version 4"));
  EXPECT_THAT(qcow2({.encryption = 2}), HasSubstr("is encrypted"));
  EXPECT_THAT(qcow2({.incompatible = 2}), HasSubstr("qemu-img check -r all image"));
  EXPECT_THAT(qcow2({.incompatible = 4}), HasSubstr("keeps its data in another file"));
  EXPECT_THAT(qcow2({.incompatible = 1 << 9}), HasSubstr("newer reader"));
  EXPECT_THAT(qcow2({.header_length = 8}), HasSubstr("length makes no sense"));
  EXPECT_THAT(qcow2({.header_length = 0xffffffff}), HasSubstr("length makes no sense"));
  EXPECT_THAT(qcow2({.backing = "a\nb", .backing_format = "raw"}), HasSubstr("is no text"));
  auto far = Qcow2Bytes{}.bytes();
  Qcow2Bytes::put(far, 8, 8, ~std::uint64_t{0});
  Qcow2Bytes::put(far, 16, 4, 5);
  EXPECT_THAT(error_of(ImageFormat::kQcow2, far), HasSubstr("lies outside its header"));
}

TEST(ImageHeaderTest, AnotherFormatIsNamed) {
  EXPECT_EQ(error_of(ImageFormat::kVmdk, Qcow2Bytes{}.bytes()),
            "image is no vmdk image but a qcow2 one: set format = \"qcow2\"");
  EXPECT_THAT(error_of(ImageFormat::kQcow2, {}),
              HasSubstr("image is no qcow2 image: correct format, which is \"raw\" where"));
  EXPECT_THAT(error_of(ImageFormat::kVhdx, std::vector<std::byte>(7)),
              HasSubstr("image is no vhdx image: "));
  std::vector<std::byte> list(512);
  Qcow2Bytes::put(list, 0, "# Disk DescriptorFile\nversion=1\n");
  EXPECT_THAT(error_of(ImageFormat::kVmdk, list), HasSubstr("is a VMDK of several files"));
  EXPECT_THAT(error_of(ImageFormat::kQcow2, list), HasSubstr("set format = \"vmdk\""));
}

// A guest would see, and write, the container's own bytes.
TEST(ImageHeaderTest, WhatIsNotRaw) {
  const auto status = check_is_raw(Qcow2Bytes{}.bytes(), "image");
  ASSERT_FALSE(status);
  EXPECT_EQ(
      status.error().to_string(),
      "image is a qcow2 image, and \"raw\" would give the guest the container's own bytes: set "
      "format = \"qcow2\", unless a guest wrote them (then wipe its first sector)");
  EXPECT_TRUE(check_is_raw(std::vector<std::byte>(4096), "image"));
  EXPECT_TRUE(check_is_raw({}, "image"));
}

std::vector<std::byte> vmdk(std::uint8_t capacity, const std::string& description) {
  std::vector<std::byte> bytes(4096);
  Qcow2Bytes::put(bytes, 0, "KDMV");
  bytes[12] = std::byte{capacity};
  bytes[28] = std::byte{1};  // sectors
  bytes[36] = std::byte{2};
  Qcow2Bytes::put(bytes, 512, description);
  return bytes;
}

TEST(ImageHeaderTest, VmdkOfOneFileOnly) {
  const auto header = parse_image_header(
      ImageFormat::kVmdk, vmdk(8, "CID=1\nparentCID=ffffffff\ncreateType=\"x\"\n"), "image");
  ASSERT_TRUE(header) << header.error().to_string();
  EXPECT_EQ(header->size, 4096U);
  EXPECT_THAT(error_of(ImageFormat::kVmdk, vmdk(0, "")), HasSubstr("of several files"));
  EXPECT_THAT(error_of(ImageFormat::kVmdk, vmdk(8, "parentCID=12345678\n")),
              HasSubstr("a snapshot of another"));
  auto far = vmdk(8, "");
  far[35] = std::byte{0xff};
  EXPECT_THAT(error_of(ImageFormat::kVmdk, far), HasSubstr("or a broken one"));
}

TEST(ImageHeaderTest, OfOthersTheMagicIsLookedAt) {
  std::vector<std::byte> vdi(512);
  Qcow2Bytes::put(vdi, 0x40, 4, 0x7f10dabe);
  EXPECT_TRUE(parse_image_header(ImageFormat::kVdi, vdi, "image"));
  std::vector<std::byte> vhdx(512);
  Qcow2Bytes::put(vhdx, 0, "vhdxfile");
  EXPECT_TRUE(parse_image_header(ImageFormat::kVhdx, vhdx, "image"));
  EXPECT_TRUE(parse_image_header(ImageFormat::kRaw, {}, "image"));
}

}  // namespace
}  // namespace gpuvm::image_header_test
