// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/root_bus_devices.hpp"

#include <algorithm>

#include "devices/pci/pci_acpi.hpp"

namespace gpuvm {

Result<std::unique_ptr<RootBusDevices>> RootBusDevices::create(
    std::vector<RootBusDevice> devices, const RootBusEnvironment& environment) {
  const auto place = [](const RootBusDevice& device) {
    return device.slot * pci::kFunctionsPerDevice + device.function;
  };
  std::sort(devices.begin(), devices.end(),
            [&place](const auto& a, const auto& b) { return place(a) < place(b); });
  auto made = std::make_unique<RootBusDevices>();
  unsigned last = pci::kFunctionsPerDevice - 1;  // all of slot 0 is the host bridge's
  for (const auto& device : devices) {
    if (place(device) <= last || device.slot >= pci::kDevicesPerBus ||
        device.function >= pci::kFunctionsPerDevice) {
      return fail(ErrorKind::kInternal, "Slot {:#x} of bus 0, function {}, cannot be had",
                  device.slot, device.function);
    }
    last = place(device);
    made->entries_.push_back({.devfn = static_cast<std::uint8_t>(last),
                              .parts = TRY(device.make(environment, intx_gsi(device.slot, 0)))});
  }
  return made;
}

Status RootBusDevices::add_to(PciTopology& topology) {
  for (const auto& entry : entries_) {
    TRY(topology.add(entry.devfn, *entry.parts.function));
  }
  return {};
}

PortRequest RootBusDevices::request() const {
  PortRequest request{.name = "bus 0", .bridge = false};
  for (const auto& entry : entries_) {
    auto& function = *entry.parts.function;
    append_requests(function.bars(), std::string(function.name()), request.bars);
  }
  return request;
}

Status RootBusDevices::place(const PortPlacement& placement) {
  std::size_t next = 0;
  for (const auto& entry : entries_) {
    BarSet& bars = entry.parts.function->bars();
    std::vector<BarRequest> own;
    append_requests(bars, {}, own);
    for (const auto& bar : own) {
      TRY(bars.set_power_on_address(bar.bar, placement.addresses.at(next++)));
    }
  }
  return {};
}

/// However many there are, the wait is that of the slowest.
void RootBusDevices::expect_rest() {
  for (const auto& entry : entries_) {
    entry.parts.function->expect_rest();
  }
}

void RootBusDevices::quiesce() {
  expect_rest();
  for (const auto& entry : entries_) {
    entry.parts.function->quiesce();
  }
}

void RootBusDevices::reset() {
  for (const auto& entry : entries_) {
    entry.parts.function->reset();
  }
}

void RootBusDevices::pause() {
  expect_rest();
  for (const auto& entry : entries_) {
    entry.parts.function->pause();
  }
}

void RootBusDevices::resume() {
  for (const auto& entry : entries_) {
    entry.parts.function->resume();
  }
}

void RootBusDevices::inspect(InspectNode& node) const {
  for (const auto& entry : entries_) {
    entry.parts.function->inspect(node.child(entry.parts.function->name()));
  }
}

}  // namespace gpuvm
