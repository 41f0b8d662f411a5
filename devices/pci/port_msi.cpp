// SPDX-License-Identifier: Apache-2.0
// PortMsi: see port_msi.hpp.
#include "devices/pci/port_msi.hpp"

#include <optional>

namespace gpuvm {

Result<PortMsi> PortMsi::create(MsiController* controller) {
  return PortMsi(controller, TRY(MsiVector::create()));
}

Status PortMsi::add_to(ConfigSpace& space) {
  offset_ = TRY(space.add_capability(pci::CapabilityId::kMsi, pci::kMsi64Size));
  const auto define = [this, &space](std::uint16_t at, unsigned size, std::uint32_t reset_value,
                                     std::uint32_t writable) {
    space.define({.offset = static_cast<std::uint16_t>(offset_ + at),
                  .size = size,
                  .reset_value = reset_value,
                  .writable = writable});
  };
  define(pci::kMsiControl, 2, pci::kMsi64Bit, pci::kMsiEnable);
  constexpr std::uint32_t kAddressBits = 0xfffffffc;  // 7.7.1.3: dword aligned
  define(pci::kMsiAddress, 4, 0, kAddressBits);
  define(pci::kMsiAddressHigh, 4, 0, pci::kAllOnes);
  define(pci::kMsiData64, 2, 0, 0xffff);
  return {};
}

bool PortMsi::is_enabled(const ConfigSpace& space) const {
  const auto at = static_cast<std::uint16_t>(offset_ + pci::kMsiControl);
  return (space.read(at, 2) & pci::kMsiEnable) != 0;
}

Status PortMsi::follow(const ConfigSpace& space) {
  if (controller_ == nullptr) {
    return {};
  }
  if (!is_enabled(space)) {
    return vector_.set(*controller_, std::nullopt);
  }
  const auto read = [this, &space](std::uint16_t at) {
    return space.read(static_cast<std::uint16_t>(offset_ + at));
  };
  return vector_.set(*controller_,
                     MsiMessage{.address = std::uint64_t{read(pci::kMsiAddressHigh)} << 32 |
                                           read(pci::kMsiAddress),
                                .data = read(pci::kMsiData64) & 0xffff});
}

void PortMsi::stop() {
  if (controller_ != nullptr) {
    static_cast<void>(vector_.set(*controller_, std::nullopt));  // does not fail
    vector_.clear();
  }
}

void PortMsi::send() {
  ++sent_;
  vector_.signal();
}

}  // namespace gpuvm
