// SPDX-License-Identifier: Apache-2.0
// Payloads that the compressors' own libraries have made.
#include "firmware/linux/kernel_payload.hpp"

#include <gtest/gtest.h>

#include "tests/unit/firmware/linux/packed_kernel.hpp"

namespace gpuvm::test::kernel_payload_test {
namespace {

using Format = KernelPayload::Format;
constexpr Format kFormats[] = {Format::kGzip, Format::kXz, Format::kZstd, Format::kLz4};

/// More than a block of LZ4.
Bytes large_content() {
  Bytes bytes(9 << 20);
  std::uint32_t value = 1;
  for (auto& byte : bytes) {
    value = value * 69069 + 1;
    byte = static_cast<std::byte>(value >> 29);
  }
  return bytes;
}

TEST(KernelPayload, BecomesWhatWasPacked) {
  const Bytes content = large_content();
  for (const Format format : kFormats) {
    const Bytes packed = pack(format, content);
    EXPECT_LT(packed.size(), content.size());
    const auto payload = KernelPayload::recognise(packed);
    ASSERT_TRUE(payload) << to_string(format);
    EXPECT_EQ(payload->format(), format);
    ASSERT_EQ(payload->unpacked_size(), content.size());
    Bytes target(content.size());
    const auto status = payload->unpack(target, "k");
    ASSERT_TRUE(status) << status.error().to_string();
    EXPECT_EQ(target, content);
  }
}

TEST(KernelPayload, WhatIsCutOffOrChangedIsAnError) {
  const Bytes content = make_small_elf();
  for (const Format format : kFormats) {
    const Bytes packed = pack(format, content);
    for (std::size_t i = 12; i < packed.size() - 4; i += 7) {
      Bytes cut(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(i));
      cut.insert(cut.end(), packed.end() - 4, packed.end());
      if (const auto payload = KernelPayload::recognise(cut)) {
        Bytes target(content.size());
        EXPECT_FALSE(payload->unpack(target, "k")) << to_string(format) << " " << i;
      }
      Bytes changed = packed;
      changed[i] ^= std::byte{0x20};
      Bytes target(content.size());
      const auto payload = KernelPayload::recognise(changed);
      ASSERT_TRUE(payload);
      (void)payload->unpack(target, "k");  // reads and writes nothing outside
    }
  }
}

TEST(KernelPayload, AnotherSizeThanItSaysIsAnError) {
  const Bytes content = make_small_elf();
  for (const Format format : kFormats) {
    const Bytes packed = pack(format, content);
    const auto payload = KernelPayload::recognise(packed);
    ASSERT_TRUE(payload);
    for (const std::size_t size : {content.size() - 1, content.size() + 1, std::size_t{0}}) {
      Bytes target(size);
      const auto status = payload->unpack(target, "/boot/k");
      ASSERT_FALSE(status) << to_string(format) << " " << size;
      EXPECT_EQ(status.error().kind(), ErrorKind::kConfig);
      EXPECT_NE(status.error().to_string().find("/boot/k cannot be unpacked"), std::string::npos);
    }
  }
}

TEST(KernelPayload, OthersUnpackThemselves) {
  EXPECT_FALSE(KernelPayload::recognise(make_payload()));
  EXPECT_FALSE(KernelPayload::recognise(to_bytes("BZh91AY&SY........")));  // bzip2
  EXPECT_FALSE(KernelPayload::recognise(to_bytes("\x28\xb5\x2f\xfd")));    // too short
  EXPECT_FALSE(KernelPayload::recognise({}));
}

}  // namespace
}  // namespace gpuvm::test::kernel_payload_test
