// SPDX-License-Identifier: Apache-2.0
// A kernel that its loader unpacks: each byte where the kernel's own decompressor would have put
// it.
#include "firmware/linux/kernel_unpacking.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "firmware/linux/linux_boot.hpp"
#include "firmware/linux/linux_layout.hpp"
#include "tests/unit/firmware/linux/packed_kernel.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::kernel_unpacking_test {
namespace {

constexpr std::uint64_t kLinkedAt = 0x1000000;
constexpr std::uint64_t kKernelMap = 0xffffffff80000000;

std::uint32_t place(std::uint64_t offset) {
  return static_cast<std::uint32_t>(kKernelMap + kLinkedAt + offset);
}

/// Two segments, the second with zeroes after its content; what is relocated is 64 and 32 bits
/// wide.
Bytes kernel_file(const KernelRelocations& relocations) {
  Bytes text(0x1800, std::byte{0x11});
  Bytes data(0x1000, std::byte{0x22});
  store_le(std::span(text).subspan(0x10, 8), kKernelMap + kLinkedAt + 0x3000);
  store_le(std::span(text).subspan(0x20, 4), 0x81003000);
  store_le(std::span(data).subspan(0x30, 4), 0x500);
  return with_relocations(
      make_elf({{kLinkedAt, text, 0}, {kLinkedAt + 0x2000, data, 0x3000}}, kLinkedAt + 0x40),
      relocations);
}

KernelRelocations relocations() {
  return {.add_64 = {place(0x10)}, .subtract_32 = {place(0x2030)}, .add_32 = {place(0x20)}};
}

class KernelUnpackingTest : public testing::Test {
 protected:
  void take(const Bytes& file, KernelPayload::Format format = KernelPayload::Format::kZstd) {
    image_ = LinuxImage::parse(make_bzimage(pack(format, file)), "/boot/k").value();
    options_.kernel = &*image_;
  }
  Result<CpuEntryState> load() { return load_linux(memory_, options_); }
  std::string error() {
    const auto state = load();
    return state ? "" : state.error().to_string();
  }
  std::uint64_t value(std::uint64_t address, std::uint64_t size) const {
    return load_le(*memory_.slice(GuestAddress(address), size));
  }
  unsigned loadflags() const {
    return static_cast<unsigned>(value(linux_layout::kZeroPage.value() + 0x211, 1));
  }

  std::optional<LinuxImage> image_;
  std::optional<GuestMemory> held_ = GuestMemory::create({.size = 64_MiB}).value();
  GuestMemory& memory_ = *held_;  ///< tests may put another one into its place
  std::uint64_t next_ = 0;
  LinuxBootOptions options_{
      .initrd_path = {},
      .command_line = "console=ttyS0",
      .rsdp = {},
      .reserved = {},
      .setup_data = {},
      .unpacks = true,
      .random = [this](std::uint64_t limit) -> Result<std::uint64_t> { return next_ % limit; }};
};

TEST_F(KernelUnpackingTest, SegmentsGoToTheirPlacesAndValuesMove) {
  take(kernel_file(relocations()));
  next_ = 3;  // 16 MiB + 3 * 2 MiB; and virtual addresses up by 3 * 2 MiB
  const auto base = kLinkedAt + 6_MiB;
  std::ranges::fill(*memory_.slice(GuestAddress(base), 1_MiB), std::byte{0xcc});
  const auto state = load();
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->rip, base + 0x40);
  EXPECT_EQ(value(base, 1), 0x11U);
  EXPECT_EQ(value(base + 0x10, 8), kKernelMap + kLinkedAt + 0x3000 + 6_MiB);
  EXPECT_EQ(value(base + 0x18, 1), 0x11U);
  EXPECT_EQ(value(base + 0x20, 4), 0x81003000 + 6_MiB);
  EXPECT_EQ(value(base + 0x17ff, 1), 0x11U);
  EXPECT_EQ(value(base + 0x2000, 1), 0x22U);
  EXPECT_EQ(value(base + 0x2030, 4), (0x500 - 6_MiB) & 0xffffffff);
  EXPECT_EQ(value(base + 0x3000, 8), 0U);
  EXPECT_EQ(value(base + 0x4ff8, 8), 0U);
  EXPECT_NE(loadflags() & KASLR_FLAG, 0U);
}

TEST_F(KernelUnpackingTest, TheSameFromEachCompressor) {
  using Format = KernelPayload::Format;
  for (const Format format : {Format::kGzip, Format::kXz, Format::kZstd, Format::kLz4}) {
    take(kernel_file(relocations()), format);
    ASSERT_EQ(error(), "") << to_string(format);
    EXPECT_EQ(value(kLinkedAt + 0x2000, 1), 0x22U);
  }
}

// Where it lies and by how much it moves is decided as late as ever.
TEST_F(KernelUnpackingTest, WhatWasUnpackedAheadIsTheSame) {
  take(kernel_file(relocations()));
  next_ = 3;
  ASSERT_EQ(error(), "");
  const auto range = *GuestRange::create(GuestAddress(kLinkedAt + 6_MiB), 1_MiB);
  const auto here = *memory_.slice(range.base(), range.size());
  const Bytes in_place(here.begin(), here.end());
  std::ranges::fill(here, std::byte{0xcc});
  ASSERT_TRUE(image_->unpack_ahead());
  ASSERT_EQ(image_->unpacked().size(), image_->payload()->unpacked_size());
  LinuxImage moved = *std::move(image_);
  options_.kernel = &moved;
  ASSERT_EQ(error(), "");
  EXPECT_TRUE(std::ranges::equal(here.first(0x5000), std::span(in_place).first(0x5000)));
  next_ = 1;
  const auto state = load();  // again: a copy is not spent
  ASSERT_TRUE(state);
  EXPECT_EQ(state->rip, kLinkedAt + 2_MiB + 0x40);
  EXPECT_EQ(value(kLinkedAt + 2_MiB + 0x10, 8), kKernelMap + kLinkedAt + 0x3000 + 2_MiB);
}

TEST_F(KernelUnpackingTest, UnpackingAheadTellsOfDamageAndLeavesWhatIsTooLarge) {
  auto packed = pack(KernelPayload::Format::kGzip, kernel_file(relocations()));  // has a checksum
  packed.at(packed.size() / 2) ^= std::byte{0xff};
  image_ = LinuxImage::parse(make_bzimage(packed), "/boot/k").value();
  const auto damaged = image_->unpack_ahead();
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.error().to_string().find("/boot/k cannot be unpacked"), std::string::npos);
  EXPECT_TRUE(image_->unpacked().empty());
  take(make_elf({{kLinkedAt, Bytes(0x110000), 0}}, kLinkedAt));
  EXPECT_TRUE(image_->unpack_ahead());
  EXPECT_TRUE(image_->unpacked().empty());
  EXPECT_NE(error().find("more than its init_size"), std::string::npos);
}

TEST_F(KernelUnpackingTest, NewerKernelsHaveTwoLists) {
  take(kernel_file({.add_64 = {place(0x10)}, .subtract_32 = {}, .add_32 = {place(0x20)}}));
  next_ = 1;
  ASSERT_EQ(error(), "");
  const auto base = kLinkedAt + 2_MiB;
  EXPECT_EQ(value(base + 0x10, 8), kKernelMap + kLinkedAt + 0x3000 + 2_MiB);
  EXPECT_EQ(value(base + 0x2030, 4), 0x500U);
}

TEST_F(KernelUnpackingTest, NokaslrLeavesItWhereItWasLinked) {
  take(kernel_file(relocations()));
  next_ = 3;
  options_.command_line = "nokaslr";
  const auto state = load();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->rip, kLinkedAt + 0x40);
  EXPECT_EQ(value(kLinkedAt + 0x10, 8), kKernelMap + kLinkedAt + 0x3000);
  EXPECT_EQ(loadflags() & KASLR_FLAG, 0U);
}

TEST_F(KernelUnpackingTest, AKernelWithoutRelocationsIsNotCalledRandom) {
  take(make_elf({{kLinkedAt, Bytes(0x1000, std::byte{0x33}), 0}}, kLinkedAt));
  ASSERT_EQ(error(), "");
  EXPECT_EQ(value(kLinkedAt, 1), 0x33U);
  EXPECT_EQ(loadflags() & KASLR_FLAG, 0U);
}

// SDM volume 3, 4.5: the first page tables map where it starts.
TEST_F(KernelUnpackingTest, AKernelAbove4GiBIsMapped) {
  held_.emplace(GuestMemory::create({.size = 128_MiB, .low_limit = 32_MiB}).value());
  take(kernel_file(relocations()));
  options_.command_line = "";
  next_ = 40;  // of 8 places below and 48 above
  const auto state = load();
  ASSERT_TRUE(state) << state.error().to_string();
  ASSERT_GE(state->rip, 4_GiB);
  EXPECT_EQ(value(state->rip, 1), 0x11U);
  constexpr std::uint64_t kAddressMask = 0xffffffffff000;
  const auto pdpt = value(state->cr3, 8) & kAddressMask;
  const auto directory = value(pdpt + (state->rip >> 30 & 511) * 8, 8) & kAddressMask;
  const auto entry = value(directory + (state->rip >> 21 & 511) * 8, 8);
  EXPECT_EQ(entry & 0x83, 0x83U);
  EXPECT_EQ((entry & 0xfffffffe00000) + (state->rip & (2_MiB - 1)), state->rip);
}

TEST_F(KernelUnpackingTest, WhatIsWrongIsAnError) {
  KernelRelocations outside = relocations();
  outside.add_32 = {place(0x100000)};
  take(kernel_file(outside));
  EXPECT_NE(error().find("lies outside the kernel"), std::string::npos);

  Bytes odd = kernel_file(relocations());
  odd.push_back(std::byte{1});
  take(odd);
  EXPECT_NE(error().find("not two or three lists"), std::string::npos);

  Bytes four = kernel_file(relocations());
  append_bytes(four, std::uint32_t{0});
  append_bytes(four, std::uint32_t{0});
  take(four);
  EXPECT_NE(error().find("not two or three lists"), std::string::npos);

  Bytes none = make_elf({{kLinkedAt, Bytes(0x1000), 0}}, kLinkedAt);
  none = with_relocations(none, {});
  none.resize(none.size() - 8);
  append_bytes(none, place(0x10));  // a place in no list
  append_bytes(none, std::uint32_t{0});
  append_bytes(none, std::uint32_t{0});
  take(none);
  EXPECT_NE(error().find("not two or three lists"), std::string::npos);

  Bytes cut = kernel_file(relocations());
  auto header = elf_header(cut);
  header.e_shoff = cut.size();
  set_elf_header(cut, header);
  take(cut);
  EXPECT_NE(error().find("sections' headers end past"), std::string::npos);

  take(make_elf({{kLinkedAt + 0x4000, Bytes(0x1000), 0}}, kLinkedAt + 0x4000));
  EXPECT_NE(error().find("before its place"), std::string::npos);

  take(to_bytes("no kernel at all, but well packed"));
  EXPECT_NE(error().find("not an ELF file"), std::string::npos);

  take(make_elf({{kLinkedAt, Bytes(0x1000), 0x200000}}, kLinkedAt));
  EXPECT_NE(error().find("outside its init_size"), std::string::npos);

  take(make_elf({{kLinkedAt, Bytes(0x110000), 0}}, kLinkedAt));
  EXPECT_NE(error().find("more than its init_size"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::test::kernel_unpacking_test
