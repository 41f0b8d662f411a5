// SPDX-License-Identifier: Apache-2.0
// PciComplex: where it puts memory of functions, and what it tells the guest's tables of address
// space and NUMA nodes. The rest: pci_complex.cpp.
#include <algorithm>

#include "vmm/base/log.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/pci/pci_complex.hpp"
#include "vmm/machine/pci/pci_plan.hpp"

namespace gpuvm {

/// Memory of the functions goes above RAM or where it must be, in the order that
/// NumaPlan::node_of() counts them in.
Status PciComplex::place_memory() {
  std::vector<CoherentMemory*> memories;
  std::vector<DeviceMemory> wanted;
  for (const auto& function : options_.devices.functions()) {
    if (auto* const memory = function->guest().coherent_memory(); memory != nullptr) {
      memories.push_back(memory);
      wanted.push_back({.name = function->name(),
                        .size = memory->size(),
                        .at = function->host().view.coherent_at});
    }
  }
  device_memory_ =
      TRY(place_device_memory(options_.memory, wanted, options_.physical_address_bits));
  for (std::size_t i = 0; i < memories.size(); ++i) {
    memories[i]->place(device_memory_[i].base());
    bar_space_.set_forbidden(fmt::format("device memory {}", i), device_memory_[i]);
    log::info("Memory of {}, {} MiB, is at {:#x}", wanted[i].name, wanted[i].size >> 20,
              device_memory_[i].base().value());
  }
  return {};
}

std::vector<AcpiNumaInitiator> PciComplex::initiators() const {
  constexpr std::uint32_t kDisplay = 0x03;
  std::vector<AcpiNumaInitiator> found;
  for (const auto& port : ports_) {
    if (port.plan.is_free) {
      continue;  // a card that comes later is in no table; and it may come or go just now
    }
    const auto bus = static_cast<std::uint8_t>(port.bridge->config_read(pci::kPrimaryBus) >> 8);
    for (auto* function : port.functions) {
      auto& guest = function->guest();
      const auto node = options_.numa.node_of(function->host());
      const bool is_gpu = guest.config_read(pci::kClassDword) >> 24 == kDisplay ||
                          guest.coherent_memory() != nullptr;
      if (node && is_gpu) {
        found.push_back({.bus = bus, .devfn = function->host().function, .domain = *node});
      }
    }
  }
  return found;
}

/// What the host bridge hands out below and above 4 GiB.
std::vector<GuestRange> PciComplex::memory_windows() const {
  if (!options_.firmware_flash) {
    return {*GuestRange::create(layout::kMmio32Base, layout::kMmio32Size), aperture64_};
  }
  // Firmware chooses: all that is not ECAM, chipset or RAM.
  std::vector<GuestRange> windows;
  const auto add = [&windows](std::uint64_t base, std::uint64_t end) {
    if (base < end) {
      windows.push_back(*GuestRange::create(GuestAddress(base), end - base));
    }
  };
  const std::uint64_t base32 = layout::kMmio32Base.value();
  if (const auto at = ecam(); at && at->base().value() >= base32) {
    add(base32, std::min(at->base().value(), layout::kMmio32FirmwareEnd));
    add(std::max(base32, at->last().value() + 1), layout::kMmio32FirmwareEnd);
  } else {
    add(base32, layout::kMmio32FirmwareEnd);
  }
  for (const auto& gap :
       free_above_memory(options_.memory, device_memory_, options_.physical_address_bits)) {
    add(align_up(gap.base().value(), 1_GiB), gap.last().value() + 1);
  }
  return windows;
}

/// With a firmware image also the chipset's ports, which belong to functions of bus 0 then.
std::vector<PortRange> PciComplex::io_windows() const {
  if (!options_.firmware_flash) {
    return {*PortRange::create(layout::kIoWindowBase, layout::kIoWindowSize)};
  }
  constexpr std::uint64_t kBefore = ConfigPorts::kPort;
  constexpr std::uint64_t kAfter = kBefore + ConfigPorts::kPortCount;
  return {*PortRange::create(IoPort(0), kBefore),
          *PortRange::create(IoPort(kAfter), 0x10000 - kAfter)};
}

std::unique_ptr<const AcpiSource> PciComplex::describe() const {
  // 0xcf8 to 0xcff lie between the two windows.
  return std::make_unique<PciAcpi>(PciAcpiConfig{
      .ecam = ecam().value_or(*GuestRange::create(layout::kEcamBase, layout::kEcamSize)),
      .buses = buses_,
      .io_windows = io_windows(),
      .memory_windows = memory_windows(),
      .devices = topology_.root_devices(),
      .hot_plug = options_.free_ports > 0,
      .proximity_domain = node_});
}

TreePci PciComplex::tree() const {
  return tree_without_functions(aperture64_, buses_);
}

}  // namespace gpuvm
