// SPDX-License-Identifier: Apache-2.0
// PciComplex: the guest's PCI Express hierarchy: host bridge, ECAM, configuration ports, disks,
// networks and other devices of bus 0, root ports and, behind them, the passed-through functions,
// with BARs and bridge windows placed as firmware would.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/passthrough/function_facts.hpp"
#include "devices/passthrough/passthrough_function.hpp"
#include "devices/pci/bar_space.hpp"
#include "devices/pci/config_ports.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/lpc_bridge.hpp"
#include "devices/pci/pci_acpi.hpp"
#include "devices/pci/pci_topology.hpp"
#include "devices/pci/pci_windows.hpp"
#include "devices/pci/root_port.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/guest_bus.hpp"
#include "vmm/machine/devices/guest_bus_reset.hpp"
#include "vmm/machine/devices/guest_function_reset.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
#include "vmm/machine/pci/acpi_roms.hpp"
#include "vmm/machine/pci/disks.hpp"
#include "vmm/machine/pci/firmware_functions.hpp"
#include "vmm/machine/pci/first_boot_disk.hpp"
#include "vmm/machine/pci/networks.hpp"
#include "vmm/machine/pci/pci_plan.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class PciComplex : public Inspectable {
 public:
  /// All references must outlive this.
  struct Options {
    HostDevices& devices;
    const NumaPlan& numa;
    const GuestDisks& disks;
    Networks& networks;
    /// What else there is on bus 0.
    std::vector<RootBusDevice> services;
    DiskFile* first_boot = nullptr;  ///< the volume of cloud-init's files; null: none
    const GuestMemory& memory;
    unsigned physical_address_bits;
    bool config_ports;  ///< 0xcf8 and 0xcfc exist
    /// Asked before a device may reach memory; false: it must not.
    std::function<bool()> before_bus_master;
    IoHandler& reset_port;
    /// Set where a UEFI firmware image enumerates the devices: its flash. Then the ECAM goes where
    /// the firmware wants it, there is an LPC bridge, and all of the address space that the
    /// firmware may use is the guest's to assign.
    std::optional<GuestRange> firmware_flash;
    GuestBus bus;
    /// Told of every reset of a bus or of one function that the guest asks for, on its vCPU's
    /// thread; may be empty.
    std::function<void(std::string_view reason, const ResetCertificate&)> on_guest_reset;
    OnNetworkLost on_network_lost = {};  ///< may be empty
    unsigned free_ports = 0;             ///< hot-plug slots, for cards that come later
    std::uint64_t reserve = 0;           ///< bytes of 64-bit address space for each; a power of two
    /// The guest has switched the power of the slot behind this port, by its number. On its vCPU's
    /// thread; may be empty.
    std::function<void(std::uint8_t port, bool is_powered)> on_slot_power = {};
  };
  /// Errors: kConfig (a BAR does not fit), kHost (a device does not answer).
  static Result<std::unique_ptr<PciComplex>> create(const Options& options);

  /// The root ports.
  std::vector<const AcpiSource*> acpi_sources() const;
  /// The option ROMs that ACPI hands out, with their functions where they are now. Any thread.
  std::vector<AcpiRom> acpi_roms() const { return acpi_roms_.describe(); }
  /// Memory of functions that is the guest's, in the order of the functions.
  const std::vector<GuestRange>& device_memory() const { return device_memory_; }
  /// GPUs that are near to a NUMA node, where they are now. Any thread.
  std::vector<AcpiNumaInitiator> initiators() const;
  /// Buses 0 to buses() - 1 exist.
  unsigned buses() const { return buses_; }
  /// Where the ECAM is now; nothing: disabled. Any thread.
  std::optional<GuestRange> ecam() const;
  /// Bytes of 64-bit address space that firmware should provide for all BARs.
  std::uint64_t memory64_wanted() const { return memory64_wanted_; }
  /// The ECAM and the windows as they are now. Any thread.
  std::unique_ptr<const AcpiSource> describe() const;
  /// ECAM and windows as a device tree has them; no functions.
  TreePci tree() const;
  /// The passed-through functions at their power-on addresses, with the images of their option
  /// ROMs. vCPUs are stopped.
  std::vector<FirmwareFunction> firmware_functions();

  // Cards that come and go while the guest runs, behind free ports, by their numbers: in
  // pci_hot_plug.cpp. The worker's, like pause(). Errors of all: kInternal for another port.

  /// In the order of their numbers.
  std::vector<std::uint8_t> free_ports() const;
  /// Does `change` while nobody inspects. Never with what takes its time, such as a device's
  /// answer.
  using Exclusively = std::function<void(const std::function<void()>& change)>;
  /// Makes the guest's side of a card whose functions are all for this port, and gives its BARs
  /// places for the guest's next reboot; the guest sees nothing yet. `devices` must outlive it.
  /// Errors: kConfig: a BAR does not fit into what is reserved, or the function can only be there
  /// from the start; kHost.
  Status plug(std::uint8_t port, HostDevices& devices, const Exclusively& exclusively);
  /// The guest is told of it.
  Status announce(std::uint8_t port);
  /// Presses the slot's attention button.
  Status ask_for(std::uint8_t port);
  /// The slot as it is now. Any thread.
  Result<HotPlugSlot> slot(std::uint8_t port) const;
  /// The guest reaches nothing of the card any more; returns when no access is in flight, which
  /// takes as long as a reset that the guest has under way. No lock held that inspect() needs.
  Status withdraw(std::uint8_t port);
  /// After withdraw(): the guest's side is gone.
  Status unplug(std::uint8_t port, const Exclusively& exclusively);

  /// The guest may start: interrupts connected.
  Status start();
  /// Returns when no emulated function works for the guest any more; see EmulatedFunction::pause().
  /// vCPUs are stopped. Passed-through functions go on.
  void pause();
  void resume();
  /// Before a physical reset: nothing of the devices is reachable by the guest. vCPUs are stopped.
  void quiesce();
  /// After a physical reset: everything as at power-on. vCPUs are stopped.
  Status reset();
  void inspect(InspectNode& node) const override;

 private:
  /// Functions that the guest sees as long as this exists. They are HostDevices'.
  class Shown {
   public:
    Shown() = default;
    Shown(Shown&& other) noexcept : functions_(std::exchange(other.functions_, {})) {}
    Shown& operator=(Shown&&) = delete;
    ~Shown();
    void add(OwnedFunction& function) { functions_.push_back(&function); }
    void swap(Shown& other) { functions_.swap(other.functions_); }
    /// All of them; none is left.
    void hide();
    auto begin() const { return functions_.begin(); }
    auto end() const { return functions_.end(); }

   private:
    std::vector<OwnedFunction*> functions_;
  };
  struct Port {
    PlannedPort plan;
    Shown functions;                       ///< in slot order
    std::unique_ptr<GuestBusReset> reset;  ///< refers to functions; absent behind an empty port
    std::unique_ptr<RootPort> bridge;      ///< refers to functions and reset
    PortPlacement reserved;                ///< of a free port, for the cards that come
    PortCard card;                         ///< what a free port shows of the one that is there
  };
  PciComplex(const Options& options, const std::vector<PlannedPort>& ports);
  Status add_root_bus_devices();
  Status add_port(const PlannedPort& plan);
  Status add_functions(Port& port);
  /// What all functions of a port have in common.
  struct Showing {
    HostDevices& devices;
    const RootPortConfig& port;
  };
  Status show_function(OwnedFunction& function, const FunctionFacts& facts, const Showing& showing,
                       bool multi_function);
  /// `facts`: of the port's functions, in their order, which are those of `devices`.
  RootPortConfig port_config(const PlannedPort& plan, const HostDevices& devices,
                             std::span<const FunctionFacts> facts) const;
  HotPlugConfig hot_plug_config(std::uint8_t port);
  /// Null without functions.
  Result<std::unique_ptr<GuestBusReset>> make_reset(const Port& port, const Shown& functions,
                                                    HostDevices& devices) const;
  Result<Port*> free_port(std::uint8_t number);
  Result<Shown> make_card(Port& port, HostDevices& devices);
  Status place_card(const Port& port, const Shown& functions) const;
  static Status begin_card(const Port& port);
  Status place_memory();
  Status place();
  Status place_port(Port& port, const PortPlacement& placement);
  Status connect_buses();
  void follow_ecam();
  std::vector<GuestRange> memory_windows() const;
  std::vector<PortRange> io_windows() const;

  Options options_;
  const unsigned buses_;
  const std::optional<std::uint32_t> node_;  ///< that all functions are near to
  GuestRange aperture64_;
  std::vector<GuestRange> device_memory_;
  std::uint64_t memory64_wanted_ = 0;
  BarSpace bar_space_;
  /// Held while the MMIO bus's and the BarSpace's own locks are taken.
  mutable Mutex ecam_mutex_;
  log::RateLimit ecam_limit_;
  std::optional<GuestRange> ecam_at_ GPUVM_GUARDED_BY(ecam_mutex_);
  std::unique_ptr<HostBridge> host_bridge_;
  std::unique_ptr<RootBusDevices> root_bus_;
  std::unique_ptr<LpcBridge> lpc_bridge_;  ///< null without a firmware image
  std::vector<Port> ports_;
  AcpiRoms acpi_roms_;  ///< refers to ports_
  PciTopology topology_;
  Ecam ecam_;
  ConfigPorts config_ports_;
};

}  // namespace gpuvm
