// SPDX-License-Identifier: Apache-2.0
// Random numbers (UEFI 2.10, 37.5; RFC 8439), PCI I/O (14.4), memory attributes (37.8).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/unit/firmware/efi/fake_guest.hpp"

namespace gpuvm::efi::protocols_test {
namespace {

TEST(Chacha20, BlockOfTheRfc) {  // RFC 8439, 2.3.2
  std::uint8_t key_bytes[32];
  for (std::uint8_t i = 0; i < 32; ++i) {
    key_bytes[i] = i;
  }
  std::uint32_t key[8];
  std::memcpy(key, key_bytes, sizeof key);
  std::uint8_t out[64];
  chacha20_block(key, 1, {0x09000000, 0x4a000000, 0x00000000}, out);
  const std::uint8_t first[] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15};
  const std::uint8_t last[] = {0xa2, 0x50, 0x3c, 0x4e};
  EXPECT_EQ(std::memcmp(out, first, sizeof first), 0);
  EXPECT_EQ(std::memcmp(out + 60, last, sizeof last), 0);
}

TEST(Random, NeedsASeedAndErasesIt) {
  FakeGuest guest;
  auto& random = firmware().random;
  auto* protocol = random.protocol();
  std::uint8_t out[40] = {};
  EXPECT_EQ(protocol->get_random(protocol, nullptr, sizeof out, out), EfiStatus::kNotReady);
  std::uint8_t seed[64];
  std::memset(seed, 7, sizeof seed);
  random.seed(seed, sizeof seed);
  EXPECT_EQ(std::count(std::begin(seed), std::end(seed), 0), 64);
  EXPECT_EQ(protocol->get_random(protocol, nullptr, sizeof out, out), EfiStatus::kSuccess);
  std::uint8_t more[40] = {};
  EXPECT_EQ(protocol->get_random(protocol, nullptr, sizeof more, more), EfiStatus::kSuccess);
  EXPECT_NE(std::memcmp(out, more, sizeof out), 0);
  // Linux asks for raw entropy first and takes kUnsupported as "then the default".
  const Guid raw = {0xe43176d7, 0xb6e8, 0x4827, {0xb7, 0x84, 0x7f, 0xfd, 0xc4, 0xb6, 0x85, 0x61}};
  EXPECT_EQ(protocol->get_random(protocol, &raw, sizeof out, out), EfiStatus::kUnsupported);
  EXPECT_EQ(protocol->get_random(protocol, nullptr, 0, out), EfiStatus::kInvalidParameter);
}

TEST(Random, EveryByteOfTheSeedCounts) {
  std::uint8_t first[32];
  for (int changed = -1; changed < 64; changed += 13) {
    std::uint8_t seed[64] = {};
    if (changed >= 0) {
      seed[changed] = 1;
    }
    RandomSource random;
    random.seed(seed, sizeof seed);
    std::uint8_t out[32];
    random.fill(out, sizeof out);
    if (changed < 0) {
      std::memcpy(first, out, sizeof out);
    } else {
      EXPECT_NE(std::memcmp(first, out, sizeof out), 0) << changed;
    }
  }
}

class PciIoTest : public testing::Test {
 protected:
  PciIoTest() {
    for (std::size_t i = 0; i < sizeof ecam_; ++i) {
      ecam_[i] = static_cast<std::uint8_t>(i);
    }
    device_.open({.bus = 0, .device = 0, .function = 1, .rom = {0x1000, 512}},
                 reinterpret_cast<std::uint64_t>(ecam_));
  }
  alignas(8) std::uint8_t ecam_[2 * 4096];
  PciIoDevice device_;
  PciIo& io_ = device_.protocol;
};

TEST_F(PciIoTest, ReadsAndWritesConfigurationSpace) {
  std::uint32_t value = 0;
  EXPECT_EQ(io_.config_read(&io_, 2, 4, 1, &value), EfiStatus::kSuccess);
  EXPECT_EQ(value, 0x07060504U);
  std::uint8_t bytes[3] = {};
  EXPECT_EQ(io_.config_read(&io_, 0, 1, 3, bytes), EfiStatus::kSuccess);
  EXPECT_EQ(bytes[2], 3);
  std::uint16_t fill = 0xabcd;
  EXPECT_EQ(io_.config_write(&io_, 9, 8, 2, &fill), EfiStatus::kSuccess);
  EXPECT_EQ(ecam_[4096 + 11], 0xab);
}

TEST_F(PciIoTest, RefusesWhatDoesNotFit) {
  std::uint64_t value = 0;
  EXPECT_EQ(io_.config_read(&io_, 3, 0, 1, &value), EfiStatus::kInvalidParameter);
  EXPECT_EQ(io_.config_read(&io_, 12, 0, 1, &value), EfiStatus::kInvalidParameter);
  EXPECT_EQ(io_.config_read(&io_, 0, 0, 1, nullptr), EfiStatus::kInvalidParameter);
  EXPECT_EQ(io_.config_read(&io_, 2, 2, 1, &value), EfiStatus::kUnsupported);
  EXPECT_EQ(io_.config_read(&io_, 2, 4096, 1, &value), EfiStatus::kUnsupported);
  EXPECT_EQ(io_.config_read(&io_, 2, 4092, 2, &value), EfiStatus::kUnsupported);
  EXPECT_EQ(io_.config_read(&io_, 0, 8, ~std::uint64_t{0}, &value), EfiStatus::kUnsupported);
  EXPECT_EQ(io_.memory_read(), EfiStatus::kUnsupported);
}

TEST_F(PciIoTest, SaysWhereItIsAndWhatItsRomIs) {
  std::uint64_t at[4] = {9, 9, 9, 9};
  EXPECT_EQ(io_.get_location(&io_, &at[0], &at[1], &at[2], &at[3]), EfiStatus::kSuccess);
  EXPECT_EQ(at[0], 0U);
  EXPECT_EQ(at[3], 1U);
  EXPECT_EQ(io_.get_location(&io_, nullptr, &at[1], &at[2], &at[3]), EfiStatus::kInvalidParameter);
  EXPECT_EQ(io_.rom_size, 512U);
  EXPECT_EQ(io_.rom_image, reinterpret_cast<void*>(0x1000));
}

class PagingTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr std::uint64_t kMiB2 = 2 << 20;
  static constexpr std::uint64_t kEnd = std::uint64_t{4} << 30;
  PagingTest() {
    EXPECT_EQ(paging_.build(firmware().memory, kEnd, GetParam()), EfiStatus::kSuccess);
    paging_.allow_execute_protection();
  }
  std::uint64_t attributes(std::uint64_t base, std::uint64_t size) {
    std::uint64_t out = ~std::uint64_t{0};
    EXPECT_EQ(paging_.get(base, size, out), EfiStatus::kSuccess);
    return out;
  }
  FakeGuest guest_;
  Paging& paging_ = firmware().paging;
};

TEST_P(PagingTest, EverythingIsWritableAndExecutableAtFirst) {
  EXPECT_EQ(attributes(0, kEnd), 0U);
}

TEST_P(PagingTest, AttributesApplyToTheirPagesOnly) {
  const std::uint64_t at = 3 * kMiB2 + 0x3000;
  EXPECT_EQ(paging_.change(at, 0x2000, kMemoryReadOnly, true), EfiStatus::kSuccess);
  EXPECT_EQ(paging_.change(at, 0x1000, kMemoryExecuteProtect, true), EfiStatus::kSuccess);
  EXPECT_EQ(attributes(at, 0x1000), kMemoryReadOnly | kMemoryExecuteProtect);
  EXPECT_EQ(attributes(at + 0x1000, 0x1000), kMemoryReadOnly);
  EXPECT_EQ(attributes(0, at), 0U);
  EXPECT_EQ(attributes(at + 0x2000, kEnd - at - 0x2000), 0U);
  std::uint64_t out = 0;
  EXPECT_EQ(paging_.get(at, 0x2000, out), EfiStatus::kNoMapping);
  EXPECT_EQ(paging_.change(at, 0x2000, kMemoryReadOnly | kMemoryExecuteProtect, false),
            EfiStatus::kSuccess);
  EXPECT_EQ(attributes(0, kEnd), 0U);
}

TEST_P(PagingTest, WholeLargePagesStayWhole) {
  const auto before = firmware().memory.key();
  const std::uint64_t large = std::uint64_t{1} << 30;
  EXPECT_EQ(paging_.change(large, large, kMemoryReadProtect, true), EfiStatus::kSuccess);
  EXPECT_EQ(attributes(large, large), kMemoryReadProtect);
  EXPECT_EQ(firmware().memory.key(), before);  // no new tables
}

TEST_P(PagingTest, RefusesWhatItCannotDo) {
  std::uint64_t out = 0;
  EXPECT_EQ(paging_.get(1, 0x1000, out), EfiStatus::kInvalidParameter);
  EXPECT_EQ(paging_.get(0, 0, out), EfiStatus::kInvalidParameter);
  EXPECT_EQ(paging_.get(kEnd, 0x1000, out), EfiStatus::kUnsupported);
  EXPECT_EQ(paging_.get(0x1000, ~std::uint64_t{0xfff}, out), EfiStatus::kUnsupported);
  EXPECT_EQ(paging_.change(0, 0x1000, 0, true), EfiStatus::kInvalidParameter);
  EXPECT_EQ(paging_.change(0, 0x1000, kMemoryWb, true), EfiStatus::kInvalidParameter);
  EXPECT_EQ(paging_.change(kEnd - 0x1000, 0x2000, kMemoryReadOnly, true), EfiStatus::kUnsupported);
}

INSTANTIATE_TEST_SUITE_P(PageSizes, PagingTest, testing::Bool());

}  // namespace
}  // namespace gpuvm::efi::protocols_test
