// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/function_interrupts.hpp"

#include "devices/pci/pci_spec.hpp"

namespace gpuvm {

FunctionInterrupts::FunctionInterrupts(const Options& options)
    : device_(options.device), intx_(options.device, options.bus.pins, options.intx_pin) {
  if (options.msi) {
    msi_ = std::make_unique<Msi>(*options.msi, options.device, options.bus.msi);
  }
  if (options.msix) {
    msix_ =
        std::make_unique<Msix>(*options.msix, options.device, options.bus.msi, options.moved_msix);
  }
}

Status FunctionInterrupts::start() {
  started_ = true;
  auto status = follow_registers();
  if (!status && !msi_ && !msix_) {
    started_ = false;
    return status;
  }
  if (!status) {
    log::warn("{}: A guest whose driver uses no MSI gets no interrupts: {}", device_.name(),
              status.error().to_string());
  }
  return {};
}

void FunctionInterrupts::stop() {
  started_ = false;
  disable_current();
}

void FunctionInterrupts::reset_registers() {
  if (msi_) {
    msi_->capability().reset();
  }
  if (msix_) {
    msix_->capability().reset();
  }
  set_intx_masked(false);
}

void FunctionInterrupts::set_intx_masked(bool masked) {
  if (auto status = intx_.set_masked(masked); !status && limit_.allow()) {
    log::warn("{}: Cannot {} INTx: {}", device_.name(), masked ? "mask" : "unmask",
              status.error().to_string());
  }
}

FunctionInterrupts::Mode FunctionInterrupts::wanted_mode() const {
  if (msix_ && msix_->capability().enabled()) {
    return Mode::kMsix;
  }
  return msi_ && msi_->capability().enabled() ? Mode::kMsi : Mode::kIntx;
}

void FunctionInterrupts::disable_current() {
  switch (mode_) {
    case Mode::kOff:
      break;
    case Mode::kIntx:
      intx_.disable();
      break;
    case Mode::kMsi:
      msi_->disable();
      break;
    case Mode::kMsix:
      msix_->disable();
      break;
  }
  mode_ = Mode::kOff;
}

Status FunctionInterrupts::enable(Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return {};
    case Mode::kIntx:
      return intx_.enable();
    case Mode::kMsi:
      return msi_->enable();
    case Mode::kMsix:
      return msix_->enable();
  }
  return {};
}

Status FunctionInterrupts::follow_registers() {
  const auto wanted = wanted_mode();
  if (!started_ || wanted == mode_) {
    return {};
  }
  disable_current();
  TRY(enable(wanted));
  mode_ = wanted;
  return {};
}

void FunctionInterrupts::follow_registers_and_tell() {
  if (const auto status = follow_registers(); !status && limit_.allow()) {
    log::warn("{}: Cannot enable {}: {}", device_.name(), mode_name(wanted_mode()),
              status.error().to_string());
  }
}

std::uint32_t FunctionInterrupts::config_read(std::uint16_t offset, std::uint32_t value) const {
  if (msi_ && msi_->capability().contains(offset)) {
    return msi_->capability().read(offset, value, msi_->pending());
  }
  if (msix_ && offset == msix_->capability().layout().offset) {
    return msix_->capability().read_header(value);
  }
  return value;
}

bool FunctionInterrupts::config_write(std::uint16_t offset, std::uint32_t value,
                                      std::uint32_t mask) {
  if (msi_ && msi_->capability().contains(offset)) {
    if (msi_->capability().write(offset, value, mask)) {
      follow_registers_and_tell();
      if (mode_ == Mode::kMsi) {
        msi_->refresh();
      }
    }
    return true;
  }
  if (!msix_) {
    return false;
  }
  const auto base = msix_->capability().layout().offset;
  if (offset == base && msix_->capability().write_header(value, mask)) {
    follow_registers_and_tell();
    if (mode_ == Mode::kMsix) {
      msix_->refresh();
    }
  }
  return offset >= base && offset - base < pci::kMsixSize;
}

std::string_view FunctionInterrupts::mode_name(Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return "none";
    case Mode::kIntx:
      return "INTx";
    case Mode::kMsi:
      return "MSI";
    case Mode::kMsix:
      return "MSI-X";
  }
  return "none";
}

void FunctionInterrupts::inspect(InspectNode& node) const {
  node.field("in_use", mode_name(mode_));
  intx_.inspect(node.child("intx"));
  if (msi_) {
    msi_->inspect(node.child("msi"));
  }
  if (msix_) {
    msix_->inspect(node.child("msix"));
  }
}

}  // namespace gpuvm
