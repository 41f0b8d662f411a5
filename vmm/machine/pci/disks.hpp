// SPDX-License-Identifier: Apache-2.0
// Disks: the guest's [[disk]] entries as virtio block devices on bus 0, each in a slot of its own
// that does not change with what else the machine has.
#pragma once

#include <memory>
#include <vector>

#include "devices/pci/pci_topology.hpp"
#include "devices/pci/pci_windows.hpp"
#include "devices/virtio/block_device.hpp"
#include "devices/virtio/disk_file.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

using DiskFiles = std::vector<std::unique_ptr<DiskFile>>;

/// Opens and locks all, before anything of the host is changed. Errors: those of DiskFile::open().
Result<DiskFiles> open_disks(const std::vector<DiskConfig>& configs,
                             DiskFile::Use use = DiskFile::Use::kGuest);

class Disks : public Inspectable {
 public:
  static constexpr std::uint8_t kFirstSlot = 0x10;  ///< above the root ports
  static constexpr std::size_t kSlots = 8;

  /// All references must outlive this.
  struct Options {
    const DiskFiles& files;
    const GuestMemory& memory;
    MmioBus& mmio;
    Doorbells& doorbells;
    MsiController& msi;
    InterruptPins& pins;
    BarSpace& bar_space;
  };
  static Result<std::unique_ptr<Disks>> create(const Options& options);

  Status add_to(PciTopology& topology);
  /// What the BARs need, and where they come to be, in the same order.
  PortRequest request() const;
  Status place(const PortPlacement& placement);

  /// Waits for what is in flight, and takes the functions out of the guest. vCPUs are stopped.
  void quiesce();
  /// Registers as at power-on; the files stay open and locked. vCPUs are stopped.
  void reset();
  void inspect(InspectNode& node) const override;

 private:
  struct Entry {
    std::unique_ptr<BlockDevice> device;
    std::unique_ptr<VirtioPci> function;  ///< refers to device
  };
  std::vector<Entry> entries_;
};

}  // namespace gpuvm
