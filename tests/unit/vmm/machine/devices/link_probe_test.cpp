// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/link_probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "devices/pci/pci_spec.hpp"
#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::link_probe_test {
namespace {

class LinkProbe : public ::testing::Test {
 protected:
  /// Both ways must say the same.
  PcieLink link() {
    const PcieLink of_device = probe_link(device_);
    const PcieLink of_bytes = probe_link(device_.config);
    EXPECT_EQ(of_device.speed, of_bytes.speed);
    EXPECT_EQ(of_device.width, of_bytes.width);
    return of_device;
  }
  unsigned max_payload() {
    EXPECT_EQ(probe_max_payload(device_), probe_max_payload(device_.config));
    return probe_max_payload(device_);
  }
  unsigned pin() {
    EXPECT_EQ(interrupt_pin_of(device_), interrupt_pin_of(device_.config));
    return interrupt_pin_of(device_);
  }

  History history_;
  FakeResetDevice device_{history_, "0000:01:00.0"};
};

TEST_F(LinkProbe, TheLinkIsAsTrained) {
  EXPECT_EQ(link().speed, 3);
  EXPECT_EQ(link().width, 8);
}

// PCI Express Base 6.0, 7.5.3.8: other codes are reserved.
TEST_F(LinkProbe, WhatIsNoLinkIsTheSlowest) {
  for (const auto status : std::to_array<std::uint16_t>({0x0000, 0x0087, 0x0033, 0xffff})) {
    device_.set16(FakeResetDevice::kExpress + pci::kExpressLinkStatus, status);
    EXPECT_EQ(link().speed, PcieLink().speed) << status;
    EXPECT_EQ(link().width, PcieLink().width) << status;
  }
  device_.set16(pci::kStatus, 0);  // no capabilities
  EXPECT_EQ(link().speed, PcieLink().speed);
  device_.is_gone = true;
  EXPECT_EQ(probe_link(device_).speed, PcieLink().speed);
}

TEST_F(LinkProbe, PayloadCodesThatAreReservedAreTheLeast) {
  for (const unsigned code : {0U, 1U, 5U, 6U, 7U}) {
    device_.set16(FakeResetDevice::kExpress + pci::kExpressDeviceControl,
                  static_cast<std::uint16_t>(0x281f | code << pci::kDeviceControlPayloadShift));
    EXPECT_EQ(max_payload(), code <= 5 ? code : 0U);
  }
}

TEST_F(LinkProbe, PinsCountFromInta) {
  for (const auto& [value, expected] : {std::pair(0, 0U), std::pair(1, 0U), std::pair(4, 3U),
                                        std::pair(5, 0U), std::pair(0xff, 0U)}) {
    device_.config[pci::kInterruptPin] = static_cast<std::byte>(value);
    EXPECT_EQ(pin(), expected) << value;
  }
}

}  // namespace
}  // namespace gpuvm::link_probe_test
