// SPDX-License-Identifier: Apache-2.0
// Kernel files: what is taken from them, and one hostile file per check. Field meanings:
// Documentation/arch/x86/boot.rst, "Details of Header Fields".
#include "firmware/linux/linux_image.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/unit/firmware/linux/kernel_builder.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::test::linux_image_test {
namespace {

Result<LinuxImage> parse(Bytes file) {
  return LinuxImage::parse(std::move(file), "/boot/k");
}

Bytes good_bzimage() {
  return make_bzimage(make_payload());
}

/// The error that a good bzImage gives after a change to its header; "" when it is still taken.
std::string error_with(const std::function<void(::setup_header&)>& change) {
  Bytes file = good_bzimage();
  auto header = header_of(file);
  change(header);
  set_header(file, header);
  const auto image = parse(std::move(file));
  if (image) {
    return "";
  }
  EXPECT_EQ(image.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(image.error().message().find("/boot/k"), std::string::npos)
      << "does not name the file: " << image.error().message();
  return image.error().message();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(LinuxImage, ABzImageUnpacksItself) {
  const Bytes file = good_bzimage();
  const auto image = parse(file);
  ASSERT_TRUE(image) << image.error().to_string();
  EXPECT_TRUE(image->is_bzimage());
  // boot.rst, 64-bit protocol: entry at load address + 0x200.
  EXPECT_EQ(image->entry(), GuestAddress(0x1000200));
  ASSERT_EQ(image->segments().size(), 1U);
  EXPECT_TRUE(std::ranges::equal(image->segments()[0].content, std::span(file).subspan(1024)));
  // boot.rst: the kernel may use init_size bytes before it has read the memory map.
  EXPECT_EQ(image->range(), GuestRange::create(GuestAddress(0x1000000), 0x100000));
}

TEST(LinuxImage, SegmentsSurviveAMove) {
  auto first = parse(good_bzimage());
  ASSERT_TRUE(first);
  const LinuxImage image = std::move(first).value();
  EXPECT_EQ(image.segments()[0].content[kPayloadOffset + 1], std::byte{11});
}

TEST(LinuxImage, SetupSectorsZeroMeansFour) {
  Bytes file = good_bzimage();
  file.insert(file.begin() + 1024, 3 * 512, std::byte{0});
  auto header = header_of(file);
  header.setup_sects = 0;
  set_header(file, header);
  const auto image = parse(file);
  ASSERT_TRUE(image) << image.error().to_string();
  EXPECT_TRUE(std::ranges::equal(image->segments()[0].content, std::span(file).subspan(5 * 512)));
}

TEST(LinuxImage, TakesAVmlinux) {
  const auto image = parse(make_small_elf());
  ASSERT_TRUE(image) << image.error().to_string();
  EXPECT_FALSE(image->is_bzimage());
  EXPECT_EQ(image->entry(), GuestAddress(0x1000010));
  EXPECT_EQ(image->range(), GuestRange::create(GuestAddress(0x1000000), 8192));
  EXPECT_EQ(image->command_line_max(), 2047U);
  EXPECT_EQ(std::uint32_t{image->header().header}, 0x53726448U);
}

TEST(LinuxImage, ReadsTheReleaseButNoControlCharacters) {
  Bytes file = good_bzimage();
  EXPECT_EQ(parse(file)->release(), "6.12.0-test (somebody) #1");
  file[0x304] = std::byte{0x1b};
  EXPECT_EQ(parse(file)->release(), "6.12");
}

TEST(LinuxImage, ReleaseOutsideTheFileIsIgnored) {
  Bytes file = good_bzimage();
  auto header = header_of(file);
  header.kernel_version = 0xffff;
  set_header(file, header);
  const auto image = parse(std::move(file));
  ASSERT_TRUE(image);
  EXPECT_EQ(image->release(), "");
}

TEST(LinuxImage, RefusesWhatIsNoKernel) {
  const auto empty = parse({});
  ASSERT_FALSE(empty);
  EXPECT_TRUE(has(empty.error().message(), "0 bytes"));
  const auto text = parse(Bytes(4096, std::byte{'a'}));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message(),
            "/boot/k is not a Linux kernel: no HdrS signature at 0x202; give a bzImage or an ELF "
            "vmlinux");
}

TEST(LinuxImage, RefusesWrongSignaturesAndOldProtocols) {
  EXPECT_TRUE(has(error_with([](auto& h) { h.header = 0; }), "HdrS"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.boot_flag = 0; }), "0x1fe"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.version = 0x20b; }), "boot protocol 2.11"));
  EXPECT_EQ(error_with([](auto& h) { h.version = 0x20c; }), "");
  EXPECT_TRUE(has(error_with([](auto& h) { h.xloadflags = 0; }), "64-bit"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.loadflags = 0; }), "64-bit"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.jump = 0x10eb; }), "before init_size"));
}

TEST(LinuxImage, FieldsPastTheStatedEndOfTheHeaderAreNotRead) {
  Bytes file = good_bzimage();
  auto header = header_of(file);
  header.jump = 0x62eb;  // ends at 0x264: no handover_offset
  set_header(file, header);
  const auto image = parse(std::move(file));
  ASSERT_TRUE(image) << image.error().to_string();
  EXPECT_EQ(std::uint32_t{image->header().handover_offset}, 0U);
  EXPECT_EQ(std::uint32_t{parse(good_bzimage())->header().handover_offset}, 0x190U);
}

TEST(LinuxImage, RefusesSizesBeyondTheFile) {
  EXPECT_TRUE(has(error_with([](auto& h) { h.setup_sects = 255; }), "cut off"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.syssize += 1; }), "cut off"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.syssize = 0xffffffff; }), "cut off"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.syssize = 0; }), "syssize"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.syssize = 0x200 / 16; }), "syssize"));
}

TEST(LinuxImage, RefusesAPayloadOutsideTheCode) {
  EXPECT_TRUE(has(error_with([](auto& h) { h.payload_offset = 0xffffffff; }), "payload"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.payload_length = 0xffffffff; }), "payload"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.payload_length = 0; }), "payload"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.payload_length += 16; }), "payload"));
}

TEST(LinuxImage, RefusesImpossiblePlaces) {
  EXPECT_TRUE(has(error_with([](auto& h) { h.init_size = 0; }), "init_size"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.init_size = 0xfffff000; }), "init_size"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.init_size = 0x400; }), "init_size"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.pref_address = 0; }), "pref_address"));
  EXPECT_TRUE(has(error_with([](auto& h) {
                    h.pref_address = 0xffe00000;
                    h.init_size = 0x400000;
                  }),
                  "pref_address"));
  EXPECT_TRUE(
      has(error_with([](auto& h) { h.pref_address = 0xffffffffffe00000; }), "pref_address"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.pref_address = 0x1001000; }), "alignment"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.kernel_alignment = 0; }), "alignment"));
  EXPECT_TRUE(has(error_with([](auto& h) { h.kernel_alignment = 0x300000; }), "alignment"));
}

TEST(LinuxImage, EveryTruncationIsAnError) {
  const Bytes file = good_bzimage();
  for (std::size_t size = 0; size < file.size(); size += 7) {
    const auto image = parse(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)));
    ASSERT_FALSE(image) << size;
    EXPECT_EQ(image.error().kind(), ErrorKind::kConfig);
  }
}

TEST(LinuxImage, LoadNamesAMissingFile) {
  const auto image = LinuxImage::load("/nonexistent/vmlinuz");
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().kind(), ErrorKind::kConfig);
  EXPECT_TRUE(has(image.error().to_string(), "/nonexistent/vmlinuz"));
}

TEST(LinuxImage, InspectSaysWhatItIs) {
  InspectNode node;
  parse(good_bzimage())->inspect(node);
  EXPECT_EQ(node.get("format"), "bzImage");
  EXPECT_EQ(node.get("release"), "6.12.0-test (somebody) #1");
}

}  // namespace
}  // namespace gpuvm::test::linux_image_test
