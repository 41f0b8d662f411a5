// SPDX-License-Identifier: Apache-2.0
// PassthroughFunction: one physical PCI function as the guest has it. Composition of VirtualConfig
// (registers), FunctionInterrupts (INTx, MSI, MSI-X) and FunctionBars (memory, ports, ROM) over a
// PhysicalDevice. Missing: error and removal notices of the host (the machine takes those from
// PhysicalDevice).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "devices/passthrough/function_bars.hpp"
#include "devices/passthrough/function_facts.hpp"
#include "devices/passthrough/function_interrupts.hpp"
#include "devices/passthrough/function_overlays.hpp"
#include "devices/passthrough/function_plan.hpp"
#include "devices/passthrough/function_view.hpp"
#include "devices/passthrough/virtual_config.hpp"
#include "devices/pci/bar_space.hpp"
#include "devices/pci/pci_function.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/guest_bus.hpp"

namespace gpuvm {

/// A reset that a guest does by the function's own registers.
struct GuestReset {
  enum class Kind {
    kFunctionLevel,  ///< PCI Express Base 6.0, 6.6.2, or by Advanced Features
    kPowerUp,        ///< D3hot to D0 (PCI Power Management 1.2, 5.4)
  };
  Kind kind;
  std::optional<Error> refusal = {};  ///< why the host did not carry it out; nothing: it did
};

/// Life: create() → place bars() → start() → the guest runs → quiesce() → (physical reset) →
/// reset() → the guest runs again → destruction, which takes everything out of the guest.
class PassthroughFunction : public PciFunction, public Inspectable {
 public:
  /// All references must outlive the function.
  struct Options {
    PhysicalDevice& device;
    std::string name;  ///< for messages and the inspect tree
    GuestBus bus;
    BarSpace& bar_space;
    Gsi intx_pin;
    FunctionView view = {};
    FunctionPlace place = {};
    /// Called before the guest's write that makes the device a bus master; may block. False: the
    /// write is dropped.
    std::function<bool()> before_bus_master = {};
    /// Called after a guest's own reset, which took `so_far`; may block. The function does not
    /// answer its guest meanwhile, and no lock is held. False, and always after a refusal: it goes
    /// on reading as all ones until the next reset.
    std::function<bool(const GuestReset&, std::chrono::milliseconds so_far)> after_reset = {};
    /// Has the IOMMU of the functions that may reach this one's BARs by DMA where the view says so;
    /// nullptr: there is none.
    PhysicalHost* peer_host = nullptr;
  };

  /// Maps the device's BARs into this process; the guest sees nothing yet. `facts`: of the device,
  /// as it is now. Errors: kHost (mapping failed), kConfig (a bad ROM image, a quirk of other
  /// devices, a place that the MSI-X table cannot have).
  static Result<std::unique_ptr<PassthroughFunction>> create(Options options,
                                                             const FunctionFacts& facts);
  ~PassthroughFunction() override;
  PassthroughFunction(const PassthroughFunction&) = delete;
  PassthroughFunction& operator=(const PassthroughFunction&) = delete;

  /// For placing power-on addresses, before start() and while the vCPUs are stopped.
  /// No lock: nobody else uses them then.
  BarSet& bars() GPUVM_UNCHECKED_LOCKING { return config_->bars(); }

  /// Switches the hardware's decode on and connects INTx. Errors: kHost.
  Status start();
  /// Before any physical reset: disconnects interrupts and takes all BARs out of the guest. vCPUs
  /// are stopped.
  void quiesce();
  /// After a physical reset: registers as at power-on, hardware decode on, INTx connected. vCPUs
  /// are stopped. Survives: power-on addresses, the host's mappings, the ROM's contents, counters.
  /// Errors: kHost, the device may be gone.
  Status reset();

  /// First half of a reset of the bus that the function is on: interrupts disconnected, all BARs
  /// out of the guest, configuration space reads as all ones. Waits for a function level reset or a
  /// change of power state that another vCPU has under way. No lock is held afterwards. Any thread;
  /// every call is followed by bus_reset_end() or reset().
  void bus_reset_begin();
  /// Second half, after the physical reset: registers as a conventional reset leaves them (PCI
  /// Express Base 6.0, 6.6.1: BARs and Command are 0), hardware decode on, INTx connected. With
  /// `alive` false the function goes on reading as all ones, like a device that was removed, until
  /// it is reset again. Any thread.
  void bus_reset_end(bool alive);

  /// Memory of the function that is guest memory; null without. To be placed before start(); it is
  /// reachable while the function is. No lock: which there is never changes.
  CoherentMemory* coherent_memory() GPUVM_UNCHECKED_LOCKING { return bars_->coherent_memory(); }

  /// The option ROM's contents, for firmware that hands them to a kernel; empty without one. The
  /// first call reads them from the device. vCPUs are stopped, so no lock.
  std::span<const std::byte> rom_image() GPUVM_UNCHECKED_LOCKING { return bars_->rom_image(); }
  /// After quiesce(): returns when no access to its BARs is in flight. No lock held that such an
  /// access takes. Errors: kInternal inside of an access.
  Status drain() const GPUVM_UNCHECKED_LOCKING { return bars_->drain(); }

  std::string_view name() const override { return name_; }
  std::uint32_t config_read(std::uint16_t offset) override;
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override;
  std::optional<PcieLink> trained_link() override;
  void inspect(InspectNode& node) const override;

 private:
  /// Whether the function answers its guest.
  enum class Presence {
    kPresent,
    kBusy,  ///< in a reset or a change of power state
    kLost,  ///< it did not come back from a reset
  };
  explicit PassthroughFunction(Options& options);
  /// Second half of create().
  Status build(const Options& options, const FunctionFacts& facts) GPUVM_UNCHECKED_LOCKING;
  ConfigAccess config_access();

  /// Nothing when the device does not answer.
  std::optional<std::uint32_t> read_hardware(std::uint16_t offset);
  void write_hardware(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);
  /// No lock: the patch, which says it, never changes.
  std::uint32_t kept_bits(std::uint16_t offset) const GPUVM_UNCHECKED_LOCKING {
    return config_->kept_bits(offset);
  }
  Status prepare_hardware(std::uint32_t kept);
  /// Link Status of a virtual function is its card's; others keep `value`.
  std::uint32_t with_card_link(std::uint16_t offset, std::uint32_t value) const;
  /// Present afterwards, or lost.
  void become_reset() GPUVM_REQUIRES(mutex_);
  void become_lost() GPUVM_REQUIRES(mutex_);
  Status stop_hardware();
  void carry_out(std::uint16_t offset, const VirtualConfig::Effect& effect, bool reaches_hardware)
      GPUVM_REQUIRES(mutex_);
  void change_power_state(std::uint16_t offset, const VirtualConfig::Effect& effect)
      GPUVM_REQUIRES(mutex_);
  void run_function_reset() GPUVM_REQUIRES(mutex_);
  /// False for a write that makes the device a bus master when the machine forbids it. It may wait:
  /// without the lock, so that other vCPUs get their answers meanwhile.
  bool may_reach_memory(std::uint16_t offset, std::uint32_t set_bits) const GPUVM_EXCLUDES(mutex_);
  /// Lets go of the lock for `work`, which may take a minute; meanwhile the function does not
  /// answer. `reset`: that is one, and is looked at afterwards. False: the function is lost.
  bool run_slowly(const std::function<Status()>& work, std::optional<GuestReset::Kind> reset)
      GPUVM_REQUIRES(mutex_);
  void note_failure(const Error& error);

  PhysicalDevice& device_;
  const std::string name_;
  const std::function<bool()> before_bus_master_;
  const std::function<bool(const GuestReset&, std::chrono::milliseconds)> after_reset_;
  /// Held while the BarSpace's own lock is taken, never the other way round.
  mutable Mutex mutex_;
  // The pointers are set by build(), before anybody else knows the function.
  std::unique_ptr<VirtualConfig> config_ GPUVM_POINTEE_GUARDED_BY(mutex_);
  std::unique_ptr<FunctionInterrupts> interrupts_ GPUVM_POINTEE_GUARDED_BY(mutex_);
  std::unique_ptr<FunctionOverlays> overlays_;  ///< refers to mutex_ and interrupts_
  /// First to go: refers to overlays_.
  std::unique_ptr<FunctionBars> bars_ GPUVM_POINTEE_GUARDED_BY(mutex_);
  std::uint16_t physical_decode_ = 0;
  std::uint16_t express_ = 0;          ///< offset of the capability, 0 without; set by build()
  std::optional<PcieLink> link_ = {};  ///< of the port: what it is capable of; set by build()
  Presence presence_ GPUVM_GUARDED_BY(mutex_) = Presence::kPresent;
  Condition settled_;  ///< presence_ is no longer kBusy
  std::atomic<std::uint64_t> failures_{0};
  log::RateLimit limit_;
};

}  // namespace gpuvm
