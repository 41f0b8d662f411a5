// SPDX-License-Identifier: Apache-2.0
// Payloads that a vfio-user server may send, well-formed and not (QEMU docs/interop/vfio-user.rst).
#include "devices/physical/vfio_user/messages.hpp"

#include <gtest/gtest.h>

#include <string>

#include "vmm/base/bytes.hpp"

namespace gpuvm::vfio_user::messages_test {
namespace {

/// Little-endian numbers one behind the other.
struct Builder {
  Builder& u16(std::uint16_t value) { return add(value); }
  Builder& u32(std::uint32_t value) { return add(value); }
  Builder& u64(std::uint64_t value) { return add(value); }
  Builder& text(const std::string& value) {
    for (const char c : value) {
      bytes.push_back(static_cast<std::byte>(c));
    }
    bytes.push_back(std::byte{0});
    return *this;
  }
  template <class T>
  Builder& add(T value) {
    append_bytes(bytes, value);
    return *this;
  }
  Bytes bytes;
};

Bytes version(std::uint16_t major, std::uint16_t minor, const std::string& text) {
  return Builder().u16(major).u16(minor).text(text).bytes;
}

// "VFIO_USER_VERSION": version major, version minor, JSON with its NUL.
TEST(VfioUserMessages, WeProposeTheVersionWithOurLimits) {
  const auto request = version_request();
  ASSERT_GT(request.size(), 5U);
  EXPECT_EQ(load_le(std::span(request).first(2)), 0U);
  EXPECT_EQ(load_le(std::span(request).subspan(2, 2)), 1U);
  EXPECT_EQ(request.back(), std::byte{0});
  const std::string text(reinterpret_cast<const char*>(request.data()) + 4);
  EXPECT_EQ(text,
            R"({"capabilities":{"max_data_xfer_size":65536,"max_msg_fds":8,"pgsizes":4096}})");
}

TEST(VfioUserMessages, LimitsAreTheSpecificationsDefaultsWhereTheServerSaysNothing) {
  for (const auto& payload :
       {Builder().u16(0).u16(1).bytes, version(0, 0, "{}"), version(0, 1, R"({"capabilities":{}})"),
        version(0, 1, R"({"other":[1,{"a":2}]})")}) {
    const auto limits = parse_version(payload);
    ASSERT_TRUE(limits) << limits.error().to_string();
    EXPECT_EQ(limits->message_fds, 1U);
    EXPECT_EQ(limits->transfer_size, kMaxTransfer);
  }
}

TEST(VfioUserMessages, LimitsStayWithinOurs) {
  const auto large = parse_version(
      version(0, 1, R"({"capabilities":{"max_msg_fds":100000,"max_data_xfer_size":99999999999}})"));
  ASSERT_TRUE(large);
  EXPECT_EQ(large->message_fds, 16U);
  EXPECT_EQ(large->transfer_size, kMaxTransfer);
  const auto small =
      parse_version(version(0, 1, R"({"capabilities":{"max_msg_fds":2,"max_data_xfer_size":7}})"));
  ASSERT_TRUE(small);
  EXPECT_EQ(small->message_fds, 2U);
  EXPECT_EQ(small->transfer_size, 7U);
}

TEST(VfioUserMessages, VersionsAndLimitsThatDoNotWorkAreRefused) {
  auto unterminated = version(0, 1, "{}");
  unterminated.pop_back();
  const Bytes bad[] = {
      {},
      Builder().u16(0).bytes,
      version(1, 0, "{}"),
      version(0, 2, "{}"),
      unterminated,
      version(0, 1, ""),
      version(0, 1, "[]"),
      version(0, 1, "{\"capabilities\":3}"),
      version(0, 1, "{\"capabilities\":"),
      version(0, 1, std::string(5000, ' ') + "{}"),
      version(0, 1, std::string(4000, '[')),
      version(0, 1, R"({"capabilities":{"max_msg_fds":0}})"),
      version(0, 1, R"({"capabilities":{"max_msg_fds":-1}})"),
      version(0, 1, R"({"capabilities":{"max_msg_fds":"8"}})"),
      version(0, 1, R"({"capabilities":{"max_msg_fds":1.5}})"),
      version(0, 1, R"({"capabilities":{"max_data_xfer_size":0}})"),
      version(0, 1, R"({"capabilities":{"max_data_xfer_size":99999999999999999999999}})"),
      version(0, 1, R"({"capabilities":{"pgsizes":65536}})"),
  };
  for (const auto& payload : bad) {
    const auto limits = parse_version(payload);
    ASSERT_FALSE(limits) << payload.size();
    EXPECT_EQ(limits.error().kind(), ErrorKind::kHost);
  }
}

// "VFIO_USER_DEVICE_GET_INFO": argsz, flags (bit 0 reset, bit 1 PCI), num_regions, num_irqs.
TEST(VfioUserMessages, DeviceInformation) {
  const auto info = parse_device_info(Builder().u32(16).u32(3).u32(9).u32(5).bytes);
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->can_reset);
  EXPECT_EQ(info->regions, 9U);
  EXPECT_EQ(info->irqs, 5U);
  EXPECT_FALSE(parse_device_info(Builder().u32(16).u32(2).u32(9).u32(0).bytes)->can_reset);
  EXPECT_FALSE(parse_device_info(Builder().u32(16).u32(3).u32(9).bytes));         // short
  EXPECT_FALSE(parse_device_info(Builder().u32(16).u32(1).u32(9).u32(5).bytes));  // not PCI
  EXPECT_FALSE(parse_device_info(Builder().u32(16).u32(3).u32(7).u32(5).bytes));  // no config
}

/// "VFIO_USER_DEVICE_GET_REGION_INFO": argsz, flags, index, cap_offset, size, offset.
Builder region(std::uint32_t argsz, std::uint32_t flags, std::uint32_t index, std::uint64_t size,
               std::uint64_t offset = 0, std::uint32_t capabilities = 0) {
  return Builder().u32(argsz).u32(flags).u32(index).u32(capabilities).u64(size).u64(offset);
}

TEST(VfioUserMessages, RegionWithoutCapabilities) {
  const auto parsed = parse_region(region(32, 7, 1, 0x10000, 0x5000).bytes, RegionIndex::kBar1);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->info.size, 0x10000U);
  EXPECT_EQ(parsed->file_offset, 0x5000U);
  EXPECT_TRUE(parsed->info.readable && parsed->info.writable && parsed->info.mappable);
  EXPECT_TRUE(parsed->info.sparse_areas.empty());
}

TEST(VfioUserMessages, RegionWithSparseAreas) {
  auto answer = region(72, 0xf, 0, 0x4000, 0, 40);
  answer.u64(0).u16(1).u16(1).u32(0).u32(1).u32(0).u64(0x1000).u64(0x2000);
  const auto parsed = parse_region(answer.bytes, RegionIndex::kBar0);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  ASSERT_EQ(parsed->info.sparse_areas.size(), 1U);
  EXPECT_EQ(parsed->info.sparse_areas[0].offset, 0x1000U);
  EXPECT_EQ(parsed->info.sparse_areas[0].size, 0x2000U);
  EXPECT_TRUE(parsed->info.mappable);
}

TEST(VfioUserMessages, SparseAreasThatLeaveTheRegionAreRefused) {
  const std::pair<std::uint64_t, std::uint64_t> areas[] = {
      {0x1000, 0x4000}, {0x4000, 0x1000},    {0x1800, 0x1000},       {0x1000, 0x800},
      {0, 0},           {~0xfffULL, 0x2000}, {0x1000, ~0ULL - 0xfff}};
  for (const auto& [offset, size] : areas) {
    auto answer = region(64, 0xf, 0, 0x4000, 0, 32);
    answer.u16(1).u16(1).u32(0).u32(1).u32(0).u64(offset).u64(size);
    EXPECT_FALSE(parse_region(answer.bytes, RegionIndex::kBar0)) << offset << " " << size;
  }
  auto too_many = region(64, 0xf, 0, 0x4000, 0, 32);
  too_many.u16(1).u16(1).u32(0).u32(0xffffffff).u32(0).u64(0).u64(0x1000);
  EXPECT_FALSE(parse_region(too_many.bytes, RegionIndex::kBar0));
}

TEST(VfioUserMessages, NoSparseAreasMeanThatNothingMayBeMapped) {
  auto answer = region(48, 0xf, 0, 0x4000, 0, 32);
  answer.u16(1).u16(1).u32(0).u32(0).u32(0);
  const auto parsed = parse_region(answer.bytes, RegionIndex::kBar0);
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->info.mappable);
}

TEST(VfioUserMessages, CapabilityChainsThatLoopOrLeaveEnd) {
  for (const std::uint32_t next : {32U, 40U, 44U, 1000U, 0xffffffffU}) {
    auto answer = region(48, 0xf, 0, 0x4000, 0, 32);
    answer.u16(9).u16(1).u32(next).u16(9).u16(1).u32(32);
    EXPECT_TRUE(parse_region(answer.bytes, RegionIndex::kBar0)) << next;
  }
}

// VFIO_REGION_INFO_CAP_TYPE: id 2, version 1, next, type, subtype.
TEST(VfioUserMessages, RegionsOfAVendorSayWhatTheyAre) {
  auto answer = region(48, 0xf, 9, std::uint64_t{3} << 30, 0, 32);
  answer.u16(2).u16(1).u32(0).u32(0x800010de).u32(1);
  const auto parsed = parse_region(answer.bytes, static_cast<RegionIndex>(9));
  ASSERT_TRUE(parsed) << "they may have any size";
  EXPECT_EQ(parsed->info.type, (RegionType{0x800010de, 1}));
  auto cut = answer.bytes;
  cut.resize(44);
  EXPECT_FALSE(parse_region(cut, static_cast<RegionIndex>(9))->info.type);
  auto short_type = region(44, 0xf, 9, 0x1000, 0, 32);
  short_type.u16(2).u16(1).u32(0).u32(0x800010de);
  EXPECT_FALSE(parse_region(short_type.bytes, static_cast<RegionIndex>(9))->info.type);
  EXPECT_FALSE(parse_region(region(32, 7, 9, (std::uint64_t{1} << 52) + 1).bytes,
                            static_cast<RegionIndex>(9)));
  EXPECT_FALSE(parse_region(answer.bytes, static_cast<RegionIndex>(10))) << "another region";
}

TEST(VfioUserMessages, AnswerThatWasCutSaysHowMuchItNeeds) {
  const auto parsed = parse_region(region(4096, 0xf, 0, 0x4000, 0, 32).bytes, RegionIndex::kBar0);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->needed, 4096U);
}

TEST(VfioUserMessages, RegionsOfImpossibleSizesAreRefused) {
  const auto try_size = [](std::uint32_t index, std::uint64_t size, std::uint64_t offset = 0) {
    return parse_region(region(32, 7, index, size, offset).bytes, static_cast<RegionIndex>(index))
        .has_value();
  };
  EXPECT_TRUE(try_size(0, 0));
  EXPECT_TRUE(try_size(0, 4));
  EXPECT_TRUE(try_size(0, std::uint64_t{1} << 36));
  EXPECT_FALSE(try_size(0, 3));
  EXPECT_FALSE(try_size(0, 0x3000));
  EXPECT_FALSE(try_size(0, std::uint64_t{1} << 53));
  EXPECT_FALSE(try_size(0, 0x1000, std::uint64_t{1} << 63));
  EXPECT_FALSE(try_size(0, 0x1000, (std::uint64_t{1} << 63) - 0x800));
  EXPECT_TRUE(try_size(6, 0x1800));
  EXPECT_FALSE(try_size(6, 0x1000001));
  EXPECT_TRUE(try_size(7, 256));
  EXPECT_TRUE(try_size(7, 4096));
  EXPECT_FALSE(try_size(7, 0));
  EXPECT_FALSE(try_size(7, 64));
  EXPECT_FALSE(try_size(7, 8192));
  EXPECT_FALSE(parse_region(region(32, 7, 1, 4).bytes, RegionIndex::kBar0));  // another region
  EXPECT_FALSE(parse_region(Builder().u32(32).u32(7).bytes, RegionIndex::kBar0));
}

// "VFIO_USER_DEVICE_GET_IRQ_INFO": argsz, flags (bit 0 eventfd, bit 1 maskable), index, count.
TEST(VfioUserMessages, Interrupts) {
  const auto irq = [](std::uint32_t flags, std::uint32_t index, std::uint32_t count) {
    return Builder().u32(16).u32(flags).u32(index).u32(count).bytes;
  };
  const auto msix = parse_irq(irq(1, 2, 2048), IrqType::kMsix);
  ASSERT_TRUE(msix);
  EXPECT_EQ(msix->count, 2048U);
  EXPECT_FALSE(msix->maskable);
  EXPECT_TRUE(parse_irq(irq(3, 0, 1), IrqType::kIntx)->maskable);
  EXPECT_EQ(parse_irq(irq(0, 2, 8), IrqType::kMsix)->count, 0U);  // no eventfds: unusable
  EXPECT_FALSE(parse_irq(irq(1, 2, 2049), IrqType::kMsix));
  EXPECT_FALSE(parse_irq(irq(1, 1, 33), IrqType::kMsi));
  EXPECT_FALSE(parse_irq(irq(1, 0, 2), IrqType::kIntx));
  EXPECT_FALSE(parse_irq(irq(1, 3, 2), IrqType::kError));
  EXPECT_FALSE(parse_irq(irq(1, 1, 1), IrqType::kMsix));  // another type
  EXPECT_FALSE(parse_irq(Builder().u32(16).u32(1).u32(2).bytes, IrqType::kMsix));
}

// "VFIO_USER_REGION_READ": offset, region, count, data.
TEST(VfioUserMessages, RegionAccesses) {
  const RegionAccess asked{0x10, 7, 4};
  const auto answer = [](std::uint64_t offset, std::uint32_t index, std::uint32_t count,
                         unsigned data) {
    auto builder = Builder().u64(offset).u32(index).u32(count);
    builder.bytes.resize(builder.bytes.size() + data, std::byte{0x5a});
    return builder.bytes;
  };
  const auto good = answer(0x10, 7, 4, 4);
  const auto data = parse_region_read(good, asked);
  ASSERT_TRUE(data);
  EXPECT_EQ(load_le(*data), 0x5a5a5a5aU);
  EXPECT_FALSE(parse_region_read(answer(0x14, 7, 4, 4), asked));
  EXPECT_FALSE(parse_region_read(answer(0x10, 6, 4, 4), asked));
  EXPECT_FALSE(parse_region_read(answer(0x10, 7, 8, 8), asked));
  EXPECT_FALSE(parse_region_read(answer(0x10, 7, 4, 3), asked));
  EXPECT_FALSE(parse_region_read(answer(0x10, 7, 4, 5), asked));
  EXPECT_FALSE(parse_region_read({}, asked));
  EXPECT_TRUE(parse_region_write(answer(0x10, 7, 4, 0), asked));
  EXPECT_FALSE(parse_region_write(answer(0x10, 7, 2, 0), asked));
  EXPECT_FALSE(parse_region_write({}, asked));
}

}  // namespace
}  // namespace gpuvm::vfio_user::messages_test
