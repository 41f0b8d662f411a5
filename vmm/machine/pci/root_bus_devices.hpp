// SPDX-License-Identifier: Apache-2.0
// RootBusDevices: the functions that gpuvm emulates on bus 0, each in a place of its own that does
// not change with what else the machine has: guests know devices by it (root_bus_slots.hpp).
// Missing: devices that come and go while the guest runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "devices/pci/bar_space.hpp"
#include "devices/pci/emulated_function.hpp"
#include "devices/pci/pci_topology.hpp"
#include "devices/pci/pci_windows.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "vmm/bus/doorbells.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// What an emulated function may need of the machine; references outlive it.
struct RootBusEnvironment {
  const GuestMemory& memory;
  MmioBus& mmio;
  Doorbells& doorbells;
  MsiController& msi;
  InterruptPins& pins;
  BarSpace& bar_space;
};

/// A device that the machine is to have.
struct RootBusDevice {
  struct Parts {
    std::unique_ptr<VirtioDevice> device;  ///< what the function refers to, if anything
    std::unique_ptr<EmulatedFunction> function;
  };
  std::uint8_t slot = 0;  ///< its device number on bus 0, 1 to 31
  std::uint8_t function = 0;
  /// `pin`: where its INTA# goes. Errors: of the device.
  std::function<Result<Parts>(const RootBusEnvironment&, Gsi pin)> make;
};

class RootBusDevices : public Inspectable {
 public:
  /// Makes all, in the order of their places. Errors: kInternal (a place is given twice or is
  /// none), those of the devices.
  static Result<std::unique_ptr<RootBusDevices>> create(std::vector<RootBusDevice> devices,
                                                        const RootBusEnvironment& environment);

  Status add_to(PciTopology& topology);
  /// What the BARs need, and where they come to be, in the same order.
  PortRequest request() const;
  Status place(const PortPlacement& placement);

  /// As EmulatedFunction has them, for all. If one cannot rest for long, the others wait with it.
  void quiesce();
  void reset();
  void pause();
  void resume();
  /// A child for each, by its name.
  void inspect(InspectNode& node) const override;

 private:
  void expect_rest();
  struct Entry {
    std::uint8_t devfn = 0;
    RootBusDevice::Parts parts;
  };
  std::vector<Entry> entries_;
};

}  // namespace gpuvm
