// SPDX-License-Identifier: Apache-2.0
// FunctionUnderFuzz: a PassthroughFunction over a HostileFunction, as the input says, and what may
// happen to it that is not a guest's access: resets of the bus and of the machine, a device that
// leaves, a host that refuses. For the targets passthrough and machine.
#pragma once

#include <memory>

#include "devices/passthrough/passthrough_function.hpp"
#include "tests/fuzz/machine/checked_guest.hpp"
#include "tests/fuzz/machine/hostile_function.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::fuzz {

class FunctionUnderFuzz {
 public:
  FunctionUnderFuzz(Input& input, CheckedGuest& guest, BarSpace& space)
      : guest_(guest), device_(input) {
    device_.set_reaches(
        [&guest](std::span<const std::byte> bytes) { return guest.slots.reaches(bytes); });
    function_ = make(input, space);
  }
  FunctionUnderFuzz(const FunctionUnderFuzz&) = delete;
  FunctionUnderFuzz& operator=(const FunctionUnderFuzz&) = delete;
  ~FunctionUnderFuzz() {
    end_bus_reset(true);
    if (function_) {
      function_->quiesce();
      device_.must_be_out_of_reach();
    }
  }

  /// Null for a device that no guest can have.
  PassthroughFunction* get() { return function_.get(); }

  /// As a bridge's reset of the bus behind it: one at a time, everything else goes on meanwhile.
  void begin_bus_reset() {
    if (!is_bus_reset_) {
      is_bus_reset_ = true;
      function_->bus_reset_begin();
      device_.begin_bus_reset();
    }
  }
  void end_bus_reset(bool is_alive) {
    if (is_bus_reset_) {
      is_bus_reset_ = false;
      device_.end_bus_reset();
      function_->bus_reset_end(is_alive);
    }
  }
  /// What is no access of a guest's; `what`: of the input.
  void disturb(std::uint8_t what) {
    switch (what % 8) {
      case 0:
        begin_bus_reset();
        break;
      case 1:
        end_bus_reset((what & 0x80) == 0);
        break;
      case 2:  // the machine's reset comes when all others are over
        end_bus_reset(true);
        function_->quiesce();
        device_.must_be_out_of_reach();
        static_cast<void>(function_->reset());
        break;
      case 3:
        device_.set_gone((what & 0x80) != 0);
        break;
      case 4:
        device_.set_refuses_irqs((what & 0x80) != 0);
        guest_.msi.set_refuses((what & 0x40) != 0);
        break;
      case 5:
        device_.set_refuses_reset((what & 0x80) != 0);
        break;
      case 6:
        device_.fire();
        break;
      default:
        look();
    }
  }
  void look() {
    InspectNode node;
    function_->inspect(node);
    static_cast<void>(node.to_json());
    static_cast<void>(function_->trained_link());
  }

 private:
  /// A byte: bit 0 its mirror of the configuration space is answered by us, bits 1 and 2 where the
  /// MSI-X table goes, bit 3 the function is one of several, bit 4 no function level reset, bit 5
  /// the guest sees no ROM, bit 6 another identity.
  std::unique_ptr<PassthroughFunction> make(Input& input, BarSpace& space) {
    const auto choice = input.byte();
    FunctionView view;
    if ((choice & 1) != 0) {
      view.quirks = {QuirkKind::kNvidiaMirror};
    }
    if ((choice & 6) == 2) {
      view.msix_relocation = {.mode = MsixRelocation::Mode::kAuto};
    } else if ((choice & 6) == 4) {
      view.msix_relocation = {.mode = MsixRelocation::Mode::kBar, .bar = 5};
    }
    view.rom.hidden = (choice & 32) != 0;
    if ((choice & 64) != 0) {
      view.identity.device = 0x1234;
    }
    const FunctionPlace place{.multi_function = (choice & 8) != 0,
                              .link = PcieLink{},
                              .hide_function_reset = (choice & 16) != 0};
    const auto facts = FunctionFacts::read(device_);
    if (!facts) {
      return nullptr;
    }
    auto made = PassthroughFunction::create(
        {.device = device_,
         .name = device_.name(),
         .bus = guest_.bus(),
         .bar_space = space,
         .intx_pin = Gsi(16),
         .view = std::move(view),
         .place = place,
         .before_bus_master = [] { return true; },
         .after_reset = [](const GuestReset&, std::chrono::milliseconds) { return true; }},
        *facts);
    if (!made || !(*made)->start()) {
      return nullptr;
    }
    return std::move(made).value();
  }

  CheckedGuest& guest_;
  HostileFunction device_;
  std::unique_ptr<PassthroughFunction> function_;
  bool is_bus_reset_ = false;
};

}  // namespace gpuvm::fuzz
