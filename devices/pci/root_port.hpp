// SPDX-License-Identifier: Apache-2.0
// RootPort: a PCI Express root port on bus 0 with one slot behind it (PCI Express Base 6.0, 7.5.1.3
// type 1 header, 7.5.2 power management, 7.5.3 PCI Express capability, 7.9.22 subsystem ids). Ids
// are those of Red Hat's generic root port, which every guest system has a driver for.
//
// A port with a hot-plug slot (hot_plug_slot.hpp) has an MSI capability, and a vendor-specific one
// by which firmware learns what to reserve for cards that come later (QEMU,
// docs/pcie_pci_bridge.txt, "resource reservation": that of the port whose ids these are; OVMF
// reads it).
//
// Another raises no interrupts, hence no MSI capability, and none has an interrupt pin: power
// management events, error reporting and bandwidth notification are absent or not granted to the
// guest by _OSC (pci_acpi.hpp). Linux' port driver then asks for none. Link Bandwidth Notification,
// which 7.5.3.6 requires of links wider than x1, is left out for the same reason.
//
// Missing: AER, ACS, DPC, ARI forwarding, ASPM, VGA forwarding; bus master enable and D3hot do not
// stop traffic; windows are not checked against BARs; hot-plug events by an interrupt pin.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "devices/pci/config_space.hpp"
#include "devices/pci/hot_plug_slot.hpp"
#include "devices/pci/pci_function.hpp"
#include "devices/pci/pcie_link.hpp"
#include "devices/pci/port_msi.hpp"
#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/lifecycle.hpp"
#include "vmm/bus/published.hpp"

namespace gpuvm {

/// What a port shows of the card in its slot.
struct PortCard {
  PcieLink link = {};                  ///< as RootPortConfig::link
  std::uint8_t max_payload_code = 0;   ///< as there
  std::uint32_t atomic_completer = 0;  ///< as there
};

/// A slot into which cards come, and from which they go, while the guest runs.
struct HotPlugConfig {
  MsiController* msi = nullptr;  ///< for the guest's interrupt; outlives the port; nullptr: none
  std::uint64_t memory32 = 0;    ///< bytes that firmware should reserve, non-prefetchable
  std::uint64_t memory64 = 0;    ///< prefetchable, above 4 GiB
  /// The guest has switched the slot's power; what was in it has been reset where that is gone. On
  /// a vCPU's thread without a lock. May be empty.
  std::function<void(bool is_powered)> on_power = {};
};

struct RootPortConfig {
  std::string name;             ///< for messages, for instance "port1"
  std::uint8_t device = 0;      ///< on bus 0, 1 to 31
  std::uint8_t function = 0;    ///< 0 to 7
  bool multi_function = false;  ///< the device number holds other functions too
  std::uint16_t slot = 1;       ///< physical slot number, unique in the machine, 1 to 8191
  /// What the device behind is capable of; Link Status follows what it has trained to, where it
  /// tells (PciFunction::trained_link()).
  PcieLink link = {};
  /// Max_Payload_Size, 128 << code bytes: that of the device behind, so that no guest finds the
  /// two ends different.
  std::uint8_t max_payload_code = 0;
  /// kDevice2AtomicComplete bits: what the host's root port completes for the device behind.
  std::uint32_t atomic_completer = 0;
  std::optional<std::uint32_t> proximity_domain = {};  ///< ACPI: NUMA node of what is behind
  /// Nothing: what is behind the port stays there.
  std::optional<HotPlugConfig> hot_plug = {};
};

/// What firmware would have programmed. Windows: I/O in units of 4 KiB below 64 KiB, memory in
/// units of 1 MiB below 4 GiB, prefetchable in units of 1 MiB.
struct BridgeSetup {
  std::uint8_t secondary = 0;  ///< 0: not programmed; the guest's firmware numbers the buses
  std::uint8_t subordinate = 0;
  std::optional<PortRange> io = {};
  std::optional<GuestRange> memory = {};
  std::optional<GuestRange> prefetchable = {};
};

class RootPort : public PciFunction, public Resettable, public Inspectable, public AcpiSource {
 public:
  static constexpr std::uint16_t kVendor = 0x1b36;
  static constexpr std::uint16_t kDevice = 0x000c;
  static constexpr std::uint16_t kExpressOffset = 0x48;  ///< of the PCI Express capability

  /// What is behind the port. Names things by pointers, which are good while it is read.
  struct Behind {
    std::array<PciFunction*, pci::kFunctionsPerDevice> functions{};
    SecondaryBusListener* listener = nullptr;
  };
  struct Route {
    Published<Behind>::Reading reading;
    PciFunction* function;
  };

  /// Errors: kInternal, a value out of the range documented in RootPortConfig; kHost, where a
  /// hot-plug slot gets no eventfd.
  static Result<std::unique_ptr<RootPort>> create(RootPortConfig config);
  ~RootPort() override { quiesce(); }
  RootPort(const RootPort&) = delete;
  RootPort& operator=(const RootPort&) = delete;

  // Any thread, while vCPUs run too.

  /// Puts a function behind the port; it must outlive the port or be detached. devfn: as the
  /// secondary bus numbers it, device 0 only, as a link has no other (7.3.1). Functions keep their
  /// numbers; that of function 0 must have the multi-function bit if there are others. The link is
  /// up with the first one, and in a hot-plug slot with insert() and the slot's power. Errors:
  /// kInternal.
  Status attach(std::uint8_t devfn, PciFunction& function);
  /// Takes it away; with the last one the slot is empty and the link down. When this has returned
  /// success, the function is not called through the port any more and no call is in flight: it may
  /// take as long as an access does, a reset too. No lock held that the function takes. Errors:
  /// kInternal if nothing is there, and inside of an access; nothing is changed then.
  Status detach(std::uint8_t devfn);
  bool has(std::uint8_t devfn) const;
  /// Told of secondary bus resets, of a slot without power and of a disabled link, which resets
  /// what is behind it just the same (7.5.3.7); nullptr: nobody. Called on a vCPU thread without
  /// any lock held. When this has returned success, the one before is not called any more. Locks
  /// and errors: as detach().
  Status set_listener(SecondaryBusListener* listener);
  /// Bus numbers and windows at power-on, restored by reset(). Decoding is on from the start where
  /// a bus number is given, off otherwise. While the machine is built: takes effect at once.
  /// Errors: kInternal for misaligned or too high windows.
  Status set_power_on_setup(const BridgeSetup& setup);

  bool is_hot_plug() const { return config_.hot_plug.has_value(); }
  // Of a hot-plug slot; without effect on others. Any thread, while vCPUs run too.

  /// The functions attached are a card, which comes: the guest is told. What the port says of link
  /// and payloads is the card's from here on.
  void insert(const PortCard& card) GPUVM_EXCLUDES(mutex_);
  /// The card goes, asked or not: the guest is told, and reaches nothing of it any more. The
  /// functions stay attached until detach().
  void remove() GPUVM_EXCLUDES(mutex_);
  /// Asks the guest to let the card go, which it does by switching the slot's power off.
  void press_attention_button() GPUVM_EXCLUDES(mutex_);
  /// The slot as it is now; an empty one for a port without.
  HotPlugSlot slot() const GPUVM_EXCLUDES(mutex_);
  /// Its interrupt goes nowhere until reset(): before the VM is made anew. vCPUs are stopped.
  void quiesce() GPUVM_EXCLUDES(mutex_);

  std::string_view name() const override { return config_.name; }
  std::uint32_t config_read(std::uint16_t offset) override;
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override;
  std::uint8_t devfn() const {
    return static_cast<std::uint8_t>(config_.device << 3 | config_.function);
  }
  /// True if the bus lies behind the port now: secondary <= bus <= subordinate, and not bus 0,
  /// which is what an unprogrammed port holds.
  bool claims_bus(std::uint8_t bus) const;
  /// The function that answers configuration requests for (bus, devfn), or nullptr: the bus is not
  /// the secondary one, the link is down (reset, disabled) or nothing is there. It stays usable
  /// until the Route goes.
  Route route(std::uint8_t bus, std::uint8_t devfn) const;

  /// Back to the power-on setup. What is attached or inserted survives, and so does the listener,
  /// which is not told: the machine resets the devices itself.
  void reset() override;
  void inspect(InspectNode& node) const override;

  /// The port's node in \_SB.PCI0. A device behind adds its own nodes in acpi_path().
  aml::Terms acpi() const override;
  /// "\\_SB.PCI0.S10": S and the devfn in hexadecimal.
  std::string acpi_path() const;

 private:
  explicit RootPort(RootPortConfig config)
      : config_(std::move(config)),
        card_({config_.link, config_.max_payload_code, config_.atomic_completer}) {}
  Status define() GPUVM_EXCLUDES(mutex_);
  void define_header() GPUVM_REQUIRES(mutex_);
  Status define_power_management() GPUVM_REQUIRES(mutex_);
  Status define_express() GPUVM_REQUIRES(mutex_);
  Status define_hot_plug() GPUVM_REQUIRES(mutex_);
  void define_card() GPUVM_REQUIRES(mutex_);
  void define_link() GPUVM_REQUIRES(mutex_);
  void define_presence() GPUVM_REQUIRES(mutex_);
  Status define_subsystem() GPUVM_REQUIRES(mutex_);
  void define_bus_numbers(const BridgeSetup& setup) GPUVM_REQUIRES(mutex_);
  void define_windows(const BridgeSetup& setup) GPUVM_REQUIRES(mutex_);
  bool link_up() const GPUVM_REQUIRES(mutex_);
  bool apply_side_effects(std::uint16_t offset, const ConfigSpace::Change& change)
      GPUVM_REQUIRES(mutex_);
  HotPlugSlot::Power write_slot(std::uint16_t offset, std::uint32_t value, std::uint32_t mask)
      GPUVM_REQUIRES(mutex_);
  void change_slot(const std::function<void(HotPlugSlot&)>& change) GPUVM_EXCLUDES(mutex_);
  void publish_slot(bool link_active) GPUVM_REQUIRES(mutex_);
  void publish() GPUVM_REQUIRES(mutex_);
  void follow_link() GPUVM_EXCLUDES(mutex_);
  Status change_behind(const std::function<Status(Behind&)>& change);

  const RootPortConfig config_;
  std::uint16_t power_ = 0;  ///< offset of the capability; as express_ unchanged after create()
  std::uint16_t express_ = 0;
  Published<Behind> behind_;
  mutable Mutex mutex_;
  ConfigSpace space_ GPUVM_GUARDED_BY(mutex_);     ///< all guest-visible state
  PortCard card_ GPUVM_GUARDED_BY(mutex_);         ///< what is shown of it
  bool present_ GPUVM_GUARDED_BY(mutex_) = false;  ///< something is attached, or inserted
  std::optional<HotPlugSlot> slot_ GPUVM_GUARDED_BY(mutex_);  ///< both: of a hot-plug slot
  std::optional<PortMsi> msi_ GPUVM_GUARDED_BY(mutex_);
  bool wants_interrupt_ GPUVM_GUARDED_BY(mutex_) = false;  ///< as it was last
  log::RateLimit limit_;
  /// Secondary bus, subordinate bus << 8, link up << 16: a copy from space_ for lock-free routing.
  std::atomic<std::uint32_t> routing_{0};
};

}  // namespace gpuvm
