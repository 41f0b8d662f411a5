// SPDX-License-Identifier: Apache-2.0
// Resource descriptors against byte sequences worked out by hand from ACPI 6.5, 6.4.
#include "firmware/acpi/aml_resource.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace gpuvm::aml::aml_resource_test {
namespace {

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) {
    out.push_back(static_cast<std::byte>(value));
  }
  return out;
}

TEST(AmlResource, IoAndIrq) {  // 6.4.2.5, 6.4.2.1
  EXPECT_EQ(io_range({.base = 0x3f8, .length = 8}).bytes,
            bytes({0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08}));
  EXPECT_EQ(irq(4, kIsaInterrupt).bytes, bytes({0x23, 0x10, 0x00, 0x01}));
  EXPECT_EQ(irq(11, {Trigger::kLevel, Polarity::kLow, Sharing::kShared}).bytes,
            bytes({0x23, 0x00, 0x08, 0x18}));
}

TEST(AmlResource, Memory32Fixed) {  // 6.4.3.4
  EXPECT_EQ(memory32_fixed(0xfed0'0000, 0x400).bytes,
            bytes({0x86, 9, 0, 1, 0, 0, 0xd0, 0xfe, 0, 4, 0, 0}));
  EXPECT_EQ(memory32_fixed(0xfed0'0000, 0x400, Access::kReadOnly).bytes[3], std::byte{0});
}

TEST(AmlResource, ExtendedInterrupt) {  // 6.4.3.6: consumer, level, high, exclusive
  EXPECT_EQ(interrupt({Gsi(16)}, {}).bytes, bytes({0x89, 6, 0, 0x01, 1, 16, 0, 0, 0}));
  EXPECT_EQ(interrupt({Gsi(9), Gsi(300)}, {Trigger::kEdge, Polarity::kLow, Sharing::kShared}).bytes,
            bytes({0x89, 10, 0, 0x0f, 2, 9, 0, 0, 0, 0x2c, 1, 0, 0}));
}

TEST(AmlResource, BusNumbersAndPorts) {  // 6.4.3.5.3
  EXPECT_EQ(word_bus_number(0, 0xff).bytes,
            bytes({0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 1}));
  EXPECT_EQ(word_io(0xd00, 0xffff).bytes,
            bytes({0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0, 0x0d, 0xff, 0xff, 0, 0, 0, 0xf3}));
}

TEST(AmlResource, MemoryWindows) {  // 6.4.3.5.2, 6.4.3.5.1
  EXPECT_EQ(dword_memory(0x8000'0000, 0xdfff'ffff).bytes,
            bytes({0x87, 23,   0,    0,    0x0c, 0x01, 0, 0, 0, 0, 0, 0, 0,
                   0x80, 0xff, 0xff, 0xff, 0xdf, 0,    0, 0, 0, 0, 0, 0, 0x60}));
  const Term wide = qword_memory(0x80'0000'0000, 0xff'ffff'ffff,
                                 {Caching::kPrefetch, Access::kReadWrite, Usage::kProducer});
  EXPECT_EQ(wide.bytes,
            bytes({0x8a, 43, 0,    0, 0x0c, 0x07, 0,    0,    0,    0,    0,    0, 0, 0, 0, 0,
                   0,    0,  0x80, 0, 0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0,
                   0,    0,  0,    0, 0,    0,    0,    0,    0,    0,    0x80, 0, 0, 0}));
}

TEST(AmlResource, ConsumersSayso) {  // general flags, bit 0
  EXPECT_EQ(qword_memory(0, 0xfff, {Caching::kNone, Access::kReadWrite, Usage::kConsumer}).bytes[4],
            std::byte{0x0d});
}

TEST(AmlResource, TemplatesEndWithATag) {  // 6.4.2.9: checksum 0 counts as good
  EXPECT_EQ(resource_template({}).bytes, bytes({0x11, 5, 0x0a, 2, 0x79, 0x00}));
  EXPECT_EQ(resource_template({irq(4, kIsaInterrupt)}).bytes,
            bytes({0x11, 9, 0x0a, 6, 0x23, 0x10, 0x00, 0x01, 0x79, 0x00}));
}

}  // namespace
}  // namespace gpuvm::aml::aml_resource_test
