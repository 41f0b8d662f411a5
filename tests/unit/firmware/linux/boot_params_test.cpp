// SPDX-License-Identifier: Apache-2.0
// The zero page by offset (Documentation/arch/x86/zero-page.rst) rather than by field name, so that
// the test does not share a mistake with the code.
#include "firmware/linux/boot_params.hpp"

#include <gtest/gtest.h>

#include "firmware/linux/setup_header.hpp"
#include "tests/unit/firmware/linux/kernel_builder.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::boot_params_test {
namespace {

template <class T>
T at(std::span<const std::byte> bytes, std::size_t offset) {
  return load_at<T>(bytes, offset).value();
}

BootParamsOptions options() {
  BootParamsOptions result;
  result.header = header_of(make_bzimage(to_bytes("payload")));
  result.command_line = GuestAddress(0x20000);
  return result;
}

TEST(ZeroPage, HasEveryFieldAtItsOffset) {
  const std::vector<E820Entry> e820 = {
      {*GuestRange::create(GuestAddress(0), 0x9fc00), E820Type::kRam},
      {*GuestRange::create(GuestAddress(4_GiB), 8_GiB), E820Type::kAcpiReclaim}};
  auto input = options();
  input.initrd = GuestRange::create(GuestAddress(0x7f123000), 0x1234567);
  input.rsdp = GuestAddress(0xe0000);
  input.setup_data = GuestAddress(0x7f000000);
  input.e820 = e820;
  const auto page = build_zero_page(input);
  ASSERT_TRUE(page);
  EXPECT_EQ(at<std::uint64_t>(*page, 0x70), 0xe0000U);      // acpi_rsdp_addr
  EXPECT_EQ(at<std::uint8_t>(*page, 0x1e8), 2U);            // e820_entries
  EXPECT_EQ(at<std::uint8_t>(*page, 0x1ef), 0U);            // sentinel
  EXPECT_EQ(at<std::uint16_t>(*page, 0x1fe), 0xaa55U);      // boot_flag
  EXPECT_EQ(at<std::uint32_t>(*page, 0x202), 0x53726448U);  // "HdrS"
  EXPECT_EQ(at<std::uint8_t>(*page, 0x210), 0xffU);         // type_of_loader
  EXPECT_EQ(at<std::uint8_t>(*page, 0x211), LOADED_HIGH);   // no heap, no KASLR
  EXPECT_EQ(at<std::uint32_t>(*page, 0x218), 0x7f123000U);  // ramdisk_image
  EXPECT_EQ(at<std::uint32_t>(*page, 0x21c), 0x1234567U);   // ramdisk_size
  EXPECT_EQ(at<std::uint32_t>(*page, 0x228), 0x20000U);     // cmd_line_ptr
  EXPECT_EQ(at<std::uint64_t>(*page, 0x250), 0x7f000000U);  // setup_data
  EXPECT_EQ(at<std::uint32_t>(*page, 0x260), 0x100000U);    // init_size, from the file
  EXPECT_EQ(at<std::uint64_t>(*page, 0x2d0), 0U);           // e820_table
  EXPECT_EQ(at<std::uint64_t>(*page, 0x2d8), 0x9fc00U);
  EXPECT_EQ(at<std::uint32_t>(*page, 0x2e0), 1U);
  EXPECT_EQ(at<std::uint64_t>(*page, 0x2e4), 4_GiB);
  EXPECT_EQ(at<std::uint64_t>(*page, 0x2ec), 8_GiB);
  EXPECT_EQ(at<std::uint32_t>(*page, 0x2f4), 3U);
}

TEST(ZeroPage, SplitsARamDiskAbove4GiB) {
  auto input = options();
  input.initrd = GuestRange::create(GuestAddress(0x123456000), 0x200000010);
  const auto page = build_zero_page(input);
  ASSERT_TRUE(page);
  EXPECT_EQ(at<std::uint32_t>(*page, 0x218), 0x23456000U);
  EXPECT_EQ(at<std::uint32_t>(*page, 0x21c), 0x10U);
  EXPECT_EQ(at<std::uint32_t>(*page, 0xc0), 1U);  // ext_ramdisk_image
  EXPECT_EQ(at<std::uint32_t>(*page, 0xc4), 2U);  // ext_ramdisk_size
}

TEST(ZeroPage, DropsWhatTheFileSaysOfRamDiskAndSetupData) {
  auto input = options();
  input.header.ramdisk_image = 0x1000;
  input.header.ramdisk_size = 0x1000;
  input.header.setup_data = 0xdead0000;
  const auto page = build_zero_page(input);
  ASSERT_TRUE(page);
  EXPECT_EQ(at<std::uint32_t>(*page, 0x218), 0U);
  EXPECT_EQ(at<std::uint32_t>(*page, 0x21c), 0U);
  EXPECT_EQ(at<std::uint64_t>(*page, 0x250), 0U);
}

TEST(ZeroPage, Takes128MemoryMapEntriesAndNoMore) {
  const std::vector<E820Entry> many(129,
                                    {*GuestRange::create(GuestAddress(0), 1), E820Type::kReserved});
  auto input = options();
  input.e820 = std::span(many).first(128);
  const auto page = build_zero_page(input);
  ASSERT_TRUE(page);
  EXPECT_EQ(at<std::uint8_t>(*page, 0x1e8), 128U);
  input.e820 = many;
  EXPECT_FALSE(build_zero_page(input));
}

TEST(SetupDataList, IsLinkedAndAligned) {
  const std::vector<SetupData> nodes = {{SETUP_RNG_SEED, Bytes(13, std::byte{0xaa})},
                                        {SETUP_PCI, Bytes(3, std::byte{0xbb})}};
  const auto list = build_setup_data(nodes, GuestAddress(0x5000));
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), setup_data_size(nodes));
  EXPECT_EQ(at<std::uint64_t>(*list, 0), 0x5020U);  // 16 + 13, rounded up to 32
  EXPECT_EQ(at<std::uint32_t>(*list, 8), 9U);
  EXPECT_EQ(at<std::uint32_t>(*list, 12), 13U);
  EXPECT_EQ((*list)[16 + 12], std::byte{0xaa});
  EXPECT_EQ((*list)[16 + 13], std::byte{0});
  EXPECT_EQ(at<std::uint64_t>(*list, 0x20), 0U);  // the last one
  EXPECT_EQ(at<std::uint32_t>(*list, 0x28), 3U);
  EXPECT_EQ(at<std::uint32_t>(*list, 0x2c), 3U);
  EXPECT_EQ(setup_data_size({}), 0U);
}

}  // namespace
}  // namespace gpuvm::test::boot_params_test
