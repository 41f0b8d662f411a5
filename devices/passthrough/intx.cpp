// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/intx.hpp"

namespace gpuvm {

Status IntxLine::connect_device(const Wires& wires) {
  const int trigger = wires.trigger.fd();
  TRY(device_.set_irq_fds(IrqType::kIntx, 0, {&trigger, 1}));
  return masked_ ? device_.set_intx_masked(true) : device_.set_intx_unmask_fd(wires.resample.fd());
}

// While the line is masked the end of an interrupt must not unmask it: KVM signals the resample
// events of all that share a pin, whoever raised it.
Status IntxLine::mask_device(const Wires& wires) {
  if (masked_) {
    TRY(device_.set_intx_unmask_fd(-1));
    return device_.set_intx_masked(true);
  }
  TRY(device_.set_intx_unmask_fd(wires.resample.fd()));
  return device_.set_intx_masked(false);
}

Status IntxLine::enable() {
  if (wires_ || device_.irq(IrqType::kIntx).count == 0) {
    return {};
  }
  Wires wires{.trigger = TRY(EventFd::create()), .resample = TRY(EventFd::create())};
  TRY(pins_.connect_level(pin_, wires.trigger.fd(), wires.resample.fd()));
  if (auto status = connect_device(wires); !status) {
    static_cast<void>(device_.disable_irqs(IrqType::kIntx));  // may not have been enabled
    pins_.disconnect_level(pin_, wires.trigger.fd());
    return status;
  }
  wires_ = std::move(wires);
  return {};
}

void IntxLine::disable() {
  if (!wires_) {
    return;
  }
  if (auto status = device_.disable_irqs(IrqType::kIntx); !status && limit_.allow()) {
    log::warn("{}: Cannot disable INTx: {}", device_.name(), status.error().to_string());
  }
  pins_.disconnect_level(pin_, wires_->trigger.fd());
  wires_.reset();
}

Status IntxLine::set_masked(bool masked) {
  if (masked_ == masked) {
    return {};
  }
  masked_ = masked;
  return wires_ ? mask_device(*wires_) : Status();
}

void IntxLine::inspect(InspectNode& node) const {
  node.field("pin", std::uint64_t{pin_.value()});
  node.field("enabled", enabled());
  node.field("masked", masked_);
}

}  // namespace gpuvm
