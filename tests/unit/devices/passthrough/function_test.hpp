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
            .bus = bus_.bus(),
            .bar_space = space_,
            .intx_pin = Gsi(16)};
  }
  /// As the device is now.
  static Result<std::unique_ptr<PassthroughFunction>> create(PassthroughFunction::Options options) {
    const auto facts = TRY(FunctionFacts::read(options.device));
    return PassthroughFunction::create(std::move(options), facts);
  }
  /// Creates and starts it; the test has failed where that is refused.
  static std::unique_ptr<PassthroughFunction> started(PassthroughFunction::Options options) {
    auto function = create(std::move(options)).value();
    EXPECT_TRUE(function->start());
    return function;
  }

  FakeGuestBus bus_;
  FakeMemorySlots& slots_ = bus_.slots;
  MmioBus& mmio_ = bus_.mmio;
  PortBus& ports_ = bus_.ports;
  FakeMsiController& controller_ = bus_.msi;
  FakeInterruptPins& pins_ = bus_.pins;
  BarSpace space_{{{*GuestRange::create(GuestAddress(0), 2048_MiB), "RAM"},
                   {*GuestRange::create(GuestAddress(0xfee00000), 1_MiB), "the local APIC"}}};
};

}  // namespace gpuvm::test
