// SPDX-License-Identifier: Apache-2.0
// Where the hardware's registers say that the BARs are, against a made-up sysfs.
#include "devices/physical/vfio/bar_places.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::bar_places_test {
namespace {

const std::string kCard = "0000:04:00.0";
const std::string kBase = "/sys/bus/pci/devices/" + kCard;

class BarPlacesTest : public testing::Test {
 protected:
  BarPlacesTest() {
    host_.add_device(kCard, "0x010802", 4, "vfio-pci");
    // BAR 0: 64 bits at 0x38fe000000; BAR 2: ports at 0xc000; BAR 3: without an address; the ROM.
    host_.file(kBase + "/resource",
               "0x00000038fe000000 0x00000038fe003fff 0x0000000000140204\n"
               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
               "0x000000000000c000 0x000000000000c07f 0x0000000000040101\n"
               "0x0000000000000000 0x0000000000000fff 0x0000000020040200\n"
               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
               "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
               "0x00000000fe000000 0x00000000fe00ffff 0x0000000000046200\n");
    set(0x10, 0xfe000004);
    set(0x14, 0x38);
    set(0x18, 0xc001);
  }
  void set(std::size_t offset, std::uint32_t value) {
    store_le(std::span(config_).subspan(offset, 4), value);
    host_.file(kBase + "/config", std::string(reinterpret_cast<const char*>(config_.data()),
                                              config_.size()));  // SAFETY: bytes as characters
  }
  Result<std::optional<std::vector<BarPlace>>> read() {
    const auto function = TRY(HostPciDevice::open(host_, *Bdf::parse(kCard)));
    return TRY(vfio::BarPlaceReader::open(host_, function)).read();
  }
  std::optional<std::vector<BarPlace>> places() {
    auto found = read();
    EXPECT_TRUE(found) << found.error().to_string();
    return *std::move(found);
  }

  FakeHost host_;
  std::vector<std::byte> config_ = std::vector<std::byte>(256);
};

TEST_F(BarPlacesTest, RegistersAndTheKernelsAddressesOfEachBar) {
  const auto found = places().value();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].bar, 0U);
  EXPECT_EQ(found[0].host, 0x38fe000000U);
  EXPECT_EQ(found[0].hardware, 0x38fe000000U);
  EXPECT_EQ(found[1].bar, 2U);
  EXPECT_EQ(found[1].host, 0xc000U);
  EXPECT_EQ(found[1].hardware, 0xc000U);
}

// Another process has opened the files: nothing is opened here.
TEST_F(BarPlacesTest, FilesOfAnotherProcessSayTheSame) {
  set(0x08, 0x01080200);
  const auto opened = [this](const char* attribute) {
    return UniqueFd(::open(host_.path(kBase + attribute).c_str(), O_RDONLY | O_CLOEXEC));
  };
  auto config = opened("/config");
  auto resource = opened("/resource");
  const auto reader =
      vfio::BarPlaceReader::adopt(*Bdf::parse(kCard), std::move(config), std::move(resource));
  ASSERT_TRUE(reader) << reader.error().to_string();
  const auto found = reader->read();
  ASSERT_TRUE(found) << found.error().to_string();
  ASSERT_TRUE(found->has_value());
  ASSERT_EQ((*found)->size(), 2U);
  EXPECT_EQ((*found)->at(0).hardware, 0x38fe000000U);
  EXPECT_EQ((*found)->at(1).host, 0xc000U);
}

TEST_F(BarPlacesTest, AFileWithoutAHeaderIsRefused) {
  host_.file("/short", "abc");
  const auto opened = [this] {
    return UniqueFd(::open(host_.path("/short").c_str(), O_RDONLY | O_CLOEXEC));
  };
  EXPECT_FALSE(vfio::BarPlaceReader::adopt(*Bdf::parse(kCard), opened(), opened()));
  EXPECT_FALSE(vfio::BarPlaceReader::adopt(*Bdf::parse(kCard), UniqueFd(), UniqueFd()));
}

TEST_F(BarPlacesTest, RegistersThatAreGoneReadZero) {
  set(0x10, 0x4);
  set(0x14, 0);
  set(0x18, 0x1);
  const auto found = places().value();
  EXPECT_EQ(found.at(0).hardware, 0U);
  EXPECT_EQ(found.at(0).host, 0x38fe000000U);
  EXPECT_EQ(found.at(1).hardware, 0U);
}

TEST_F(BarPlacesTest, HalfAnAddressIsAnotherOne) {
  set(0x14, 0);
  EXPECT_EQ(places()->at(0).hardware, 0xfe000000U);
}

TEST_F(BarPlacesTest, WhatIsThereNowIsReadOfFilesThatStayOpen) {
  const auto function = HostPciDevice::open(host_, *Bdf::parse(kCard));
  const auto reader = vfio::BarPlaceReader::open(host_, *function);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->read().value()->at(0).hardware, 0x38fe000000U);
  set(0x14, 0);
  EXPECT_EQ(reader->read().value()->at(0).hardware, 0xfe000000U);
  EXPECT_EQ(reader->read().value()->at(0).host, 0x38fe000000U);
}

TEST_F(BarPlacesTest, VirtualFunctionsHaveNoSuchRegisters) {
  host_.link(kBase + "/physfn", "../0000:03:00.0");
  EXPECT_FALSE(places());
}

TEST_F(BarPlacesTest, NorHaveThoseWithEnhancedAllocation) {
  set(0x04, 0x00100000);  // has capabilities
  set(0x34, 0x40);
  set(0x40, 0x00000014);
  EXPECT_FALSE(places());
}

TEST_F(BarPlacesTest, PortsOfAnIdeControllerMayBeFixed) {
  const std::vector<PciBar> bars{{.index = 0, .io = true, .size = 8, .address = 0x1f0},
                                 {.index = 4, .io = false, .size = 16, .address = 0xfe000000}};
  EXPECT_EQ(vfio::places_of(config_, bars, 0x010180).size(), 1U);
  EXPECT_EQ(vfio::places_of(config_, bars, 0x010601).size(), 2U);
}

TEST_F(BarPlacesTest, AHeaderThatIsCutShortIsNoAnswer) {
  host_.file(kBase + "/config", "short");
  const auto found = read();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().to_string(), testing::HasSubstr("shows 5 bytes only"));
  EXPECT_EQ(vfio::places_of({}, {{.index = 0, .size = 16, .address = 16}}, 0).at(0).hardware,
            0xfffffff0U);
}

}  // namespace
}  // namespace gpuvm::bar_places_test
