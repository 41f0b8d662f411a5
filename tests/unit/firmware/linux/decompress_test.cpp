// SPDX-License-Identifier: Apache-2.0
// Payloads as the kernel's build makes them (last four bytes: the size), good and damaged.
#include "firmware/linux/decompress.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/firmware/linux/kernel_builder.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::test {
namespace {

Bytes sample() {
  Bytes content(20000);
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<std::byte>((i * i) >> 7);
  }
  return content;
}

class DecompressTest : public testing::TestWithParam<Compression> {};

TEST_P(DecompressTest, GivesBackWhatWasCompressed) {
  const Bytes content = sample();
  const Bytes payload = make_payload(GetParam(), content);
  EXPECT_EQ(detect_compression(payload), GetParam());
  EXPECT_TRUE(can_decompress(GetParam()));
  const auto out = decompress_payload(GetParam(), payload);
  ASSERT_TRUE(out) << out.error().to_string();
  EXPECT_TRUE(std::ranges::equal(out->bytes(), content));
}

TEST_P(DecompressTest, RefusesEveryTruncation) {
  const Bytes content = sample();
  const Bytes payload = make_payload(GetParam(), content);
  for (std::size_t keep = 0; keep + 8 < payload.size(); keep += 97) {
    Bytes cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(keep));
    append_bytes(cut, static_cast<std::uint32_t>(content.size()));
    const auto out = decompress_payload(GetParam(), cut);
    ASSERT_FALSE(out) << keep << " bytes were enough";
    EXPECT_EQ(out.error().kind(), ErrorKind::kConfig);
  }
}

TEST_P(DecompressTest, RefusesAWrongStatedSize) {
  const Bytes content = sample();
  for (const std::size_t size : {content.size() - 1, content.size() + 1}) {
    Bytes payload = make_payload(GetParam(), content);
    store_le(std::span(payload).last(4), size);
    const auto out = decompress_payload(GetParam(), payload);
    ASSERT_FALSE(out) << size;
    EXPECT_NE(out.error().message().find("damaged"), std::string::npos) << out.error().message();
  }
}

TEST_P(DecompressTest, RefusesMoreThanTheMaximumAndNothing) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, kDecompressedMax + 1, std::uint64_t{0xffffffff}}) {
    Bytes payload = make_payload(GetParam(), sample());
    store_le(std::span(payload).last(4), size);
    const auto out = decompress_payload(GetParam(), payload);
    ASSERT_FALSE(out) << size;
    EXPECT_NE(out.error().message().find("512 MiB"), std::string::npos) << out.error().message();
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, DecompressTest,
                         testing::Values(Compression::kGzip, Compression::kXz, Compression::kZstd,
                                         Compression::kLz4),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST(DetectCompression, KnowsWhatItCannotDecompress) {
  EXPECT_EQ(detect_compression(to_bytes("BZh91AY")), Compression::kBzip2);
  EXPECT_EQ(detect_compression(to_bytes("\x89LZO\x00")), Compression::kLzo);
  EXPECT_EQ(detect_compression(to_bytes(std::string_view("\x5d\x00\x00", 3))), Compression::kLzma);
  EXPECT_EQ(detect_compression(to_bytes("\x1f")), Compression::kUnknown);
  EXPECT_EQ(detect_compression({}), Compression::kUnknown);
  EXPECT_FALSE(can_decompress(Compression::kBzip2));
  EXPECT_FALSE(decompress_payload(Compression::kBzip2, to_bytes("BZh9....")));
}

TEST(DecompressLz4, RefusesABlockPastTheEnd) {
  Bytes payload;
  append_bytes(payload, std::uint32_t{0x184c2102});
  append_bytes(payload, std::uint32_t{0xffffffff});
  append_bytes(payload, std::uint32_t{4096});
  EXPECT_FALSE(decompress_payload(Compression::kLz4, payload));
}

TEST(DecompressLz4, TakesArchivesOneAfterAnother) {
  const Bytes content = sample();
  Bytes payload = make_payload(Compression::kLz4, content);
  payload.resize(payload.size() - 4);
  Bytes twice = payload;
  twice.insert(twice.end(), payload.begin(), payload.end());
  append_bytes(twice, static_cast<std::uint32_t>(2 * content.size()));
  const auto out = decompress_payload(Compression::kLz4, twice);
  ASSERT_TRUE(out) << out.error().to_string();
  EXPECT_TRUE(std::ranges::equal(out->bytes().last(content.size()), content));
}

}  // namespace
}  // namespace gpuvm::test
