// SPDX-License-Identifier: Apache-2.0
// A GPU and a USB controller as fakes, for tests that tell whole stories of guests.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"
#include "tests/unit/firmware/rom/rom_builder.hpp"

namespace gpuvm::test {

/// The GPU has three memory BARs, an I/O BAR, a ROM and MSI; the USB controller has MSI-X and FLR.
class PassthroughFunctionTest : public FunctionTest {
 protected:
  PassthroughFunctionTest() {
    xhci_.add_bar(0, 0x2000);
    xhci_.set_irq(IrqType::kIntx, 1);
    xhci_.set_irq(IrqType::kMsi, 8);
    xhci_.set_irq(IrqType::kMsix, 8);
    gpu_.add_bar(0, 16_MiB);
    gpu_.add_bar(1, 128_MiB);
    gpu_.add_bar(3, 32_MiB);
    gpu_.add_bar(5, 128, false);
    gpu_.add_rom(rom_image({.device = 0x128b, .units = 0x100}));
    gpu_.set_irq(IrqType::kIntx, 1);
    gpu_.set_irq(IrqType::kMsi, 1);
  }

  std::unique_ptr<PassthroughFunction> make(FakePhysicalDevice& device) {
    const auto after_reset = [this](const GuestReset& reset, std::chrono::milliseconds) {
      return !after_reset_ || after_reset_(reset);
    };
    auto wanted = options(device);
    wanted.after_reset = after_reset;
    return started(std::move(wanted));
  }
  std::unique_ptr<PassthroughFunction> make_placed_gpu() {
    auto gpu = make(gpu_);
    EXPECT_TRUE(gpu->bars().set_power_on_address(0, 0xe0000000));
    EXPECT_TRUE(gpu->bars().set_power_on_address(1, 0x800000000));
    EXPECT_TRUE(gpu->bars().set_power_on_address(3, 0x810000000));
    EXPECT_TRUE(gpu->bars().set_power_on_address(5, 0xe000));
    return gpu;
  }
  static void command(PciFunction& function, std::uint32_t value) {
    function.config_write(4, value, 0xffff);
  }
  static void write(PciFunction& function, std::uint16_t offset, std::uint32_t value) {
    function.config_write(offset, value, ~0U);
  }

  std::function<bool(const GuestReset&)> after_reset_;
  FakePhysicalDevice gpu_{gt710_config()};
  FakePhysicalDevice xhci_{upd720200_config()};
};

}  // namespace gpuvm::test
