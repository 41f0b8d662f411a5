// SPDX-License-Identifier: Apache-2.0
// What tests of a PassthroughFunction have in common: the guest's side of it, as Machine would give
// it, of fakes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "devices/passthrough/passthrough_function.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test {

/// A guest with 2 GiB of RAM and a local APIC, where BARs cannot be. Derived fixtures own the
/// functions, which go first.
class FunctionTest : public ::testing::Test {
 protected:
  /// For a function that nothing is special about; tests change what theirs is about.
  PassthroughFunction::Options options(PhysicalDevice& device, std::string name = "gpu0") {
    return {.device = device,
            .name = std::move(name),
            .intx_pin = Gsi(16),
            .slots = slots_,
            .mmio = mmio_,
            .ports = ports_,
            .msi_controller = controller_,
            .interrupt_pins = pins_,
            .bar_space = space_};
  }
  /// Creates and starts it; the test has failed where that is refused.
  static std::unique_ptr<PassthroughFunction> started(PassthroughFunction::Options options) {
    auto function = PassthroughFunction::create(std::move(options)).value();
    EXPECT_TRUE(function->start());
    return function;
  }

  FakeMemorySlots slots_;
  MmioBus mmio_{"mmio"};
  PortBus ports_{"ports"};
  FakeMsiController controller_;
  FakeInterruptPins pins_;
  BarSpace space_{{{*GuestRange::create(GuestAddress(0), 2048_MiB), "RAM"},
                   {*GuestRange::create(GuestAddress(0xfee00000), 1_MiB), "the local APIC"}}};
};

}  // namespace gpuvm::test
