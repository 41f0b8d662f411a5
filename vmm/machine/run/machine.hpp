// SPDX-License-Identifier: Apache-2.0
// Machine: the composition root. build() is the list of steps that make a guest; members are in
// the order in which they come to be, so that destruction runs the other way: vCPU threads first,
// host devices and memory last.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "devices/virtio/named_port/port_input.hpp"
#include "firmware/linux/linux_image.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/channels/guest_words.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_events.hpp"
#include "vmm/first_boot/first_boot.hpp"
#include "vmm/helper/helper_list.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/boot/handover_boot.hpp"
#include "vmm/machine/boot/platform.hpp"
#include "vmm/machine/boot/uefi_boot.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/devices/machine_reset.hpp"
#include "vmm/machine/hot_plug/hot_plug.hpp"
#include "vmm/machine/memory/memory_preparation.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
#include "vmm/machine/pci/pci_complex.hpp"
#include "vmm/machine/run/guest_machine.hpp"
#include "vmm/machine/run/guest_vm.hpp"
#include "vmm/machine/run/vcpu_threads.hpp"
#include "vmm/machine/services/service_devices.hpp"

namespace gpuvm {

class Owner;

/// Calls come from one thread at a time, the worker's, but for those that GuestMachine and comments
/// here give to any thread.
class Machine : public GuestMachine {
 public:
  /// All references must outlive the machine.
  struct Options {
    const Config& config;
    ConsoleSink& console;
    MachineRequests requests;
    VcpuThreads::OnEvent on_vcpu_event;
    std::function<void(Error)> on_failure;  ///< from any thread: the guest cannot go on
    GuestEvents& events;
    /// The last step of build(): the functions are open and no guest runs. May be empty.
    std::function<Status(const std::vector<PhysicalDevice*>&)> on_devices = {};
    const HostSystem& host = real_host();
    MakeGuestVm make_vm = make_kvm_guest_vm;
    /// Asks for a call of clock_expired() after this time, in place of any asked for before;
    /// nothing cancels. Called from vCPU threads and the worker, with a lock held: returns at once.
    /// Empty: the guest's clock raises no alarms.
    std::function<void(std::optional<std::chrono::nanoseconds>)> arm_clock = {};
    ConsoleChannel* virtio_console = nullptr;  ///< null: the guest has none
    DeviceClaims* claims = nullptr;            ///< as RunOptions::claims
    GuestWords* words = nullptr;               ///< null: nobody hears the guest's status port
    /// What the guest hears by its status port; it has a generation id, too. Null: neither.
    PortInput* status_input = nullptr;
    const Inspectable* sandbox = nullptr;  ///< shown with the machine; may be null
    Owner* owner = nullptr;                ///< as RunOptions::owner
    /// As PciComplex::Options has it; may be empty.
    std::function<void(std::uint8_t port, bool is_powered)> on_slot_power = {};
    /// A card has come by attach(), with these devices; may be empty.
    std::function<Status(const std::string& card, const std::vector<PhysicalDevice*>&)> on_card =
        {};
  };
  explicit Machine(Options options);
  ~Machine() override;

  Status build(const IsUnwanted& is_unwanted) override;
  Status power_on(const IsUnwanted& is_unwanted) override;
  void stop_vcpus() override;
  Status reboot(const IsUnwanted& is_unwanted) override;
  Status pause() override;
  Status resume() override;
  Status attach(const std::string& device, const IsUnwanted& is_unwanted) override;
  Result<AskedSlot> ask_for(const std::string& device) override;
  Status take_out(const std::string& device) override;
  Status stop() override;

  void break_off() override GPUVM_EXCLUDES(state_mutex_);
  void press_power_button() override { platform_->power().press_power_button(); }
  LifecycleState state() const override GPUVM_EXCLUDES(state_mutex_);
  void inspect(InspectNode& node) const override GPUVM_EXCLUDES(structure_);

  /// How events call the card that has this function; empty: none that came by attach(). For who
  /// knows that the worker has no work.
  std::string card_name(const std::string& function) const;

  // After build() has ended well. Any thread.
  SerialPort& serial() { return platform_->serial(); }
  /// The private key that the guest knows; empty: none, or ssh knows itself.
  const std::string& ssh_key() const { return first_boot_.ssh_key; }
  /// The guest's address among vsocks; nothing: it has none.
  std::optional<std::uint32_t> vsock_cid() const {
    return services_.vsock ? std::optional(services_.vsock->cid()) : std::nullopt;
  }
  void clock_expired() { platform_->clock().timer_expired(); }
  /// As Platform; on a thread that may raise interrupts.
  Status renew_generation_id() { return platform_->renew_generation_id(); }

 private:
  /// What inspect() shows, in this order.
  enum class Part {
    kVm,
    kPlatform,
    kEfi,
    kUefi,
    kHostDevices,
    kReset,
    kPci,
    kHotPlug,
    kWords,
    kHelpers,
    kCount
  };
  static const HostSystem& real_host();

  Status open_files();
  Status take_devices();
  Status open_services();
  void list_helpers();
  void open_words();
  Status add_memory();
  Status start_memory_preparation() GPUVM_EXCLUDES(state_mutex_);
  bool takes_pages_first() const;
  Status take_pages(const IsUnwanted& is_unwanted);
  Status reset_devices_and_add_vm(const IsUnwanted& is_unwanted);
  Status add_devices();
  Status add_pci();
  Status add_uefi();
  static DevicesReset reset_event(std::string_view reason, const ResetCertificate& certificate);
  PciComplex::Options pci_options();
  void add_hot_plug();
  Status prepare_memory_for_card(const IsUnwanted& is_unwanted);
  void tell_of_card(const HotPlugStep& step) const;
  void lose_disk(const std::string& disk, const Error& error);
  void show(Part part, const Inspectable* what) GPUVM_EXCLUDES(structure_);
  Holdings holdings() const;
  Status enter(LifecycleState next) GPUVM_EXCLUDES(state_mutex_);
  Status fail_with(Status status);
  GuestTables tables() const;
  Status run_reset(ResetReason reason);
  Status recover_devices(Status failure);
  Status reset_emulation() GPUVM_EXCLUDES(structure_);
  Status prepare_kernel();
  Status load_guest_memory();
  Status wait_for_memory(const IsUnwanted& is_unwanted);
  Status load_and_start(const IsUnwanted& is_unwanted);
  Status hand_over();
  Status declare_boot_files(Owner& owner);

  Options options_;
  bool is_stopped_ = false;          ///< whatever came of it
  FileOpener open_boot_file_ = {};   ///< the owner's, once that is
  bool devices_are_used_ = false;    ///< by a guest, since they were last reset
  bool memory_is_shared_ = false;    ///< with other processes
  bool memory_is_there_ = false;     ///< all its pages
  log::RateLimit guest_resets_{20};  ///< of events: more a second than hardware can do
  std::atomic<std::uint64_t> reboots_{0};

  mutable Mutex state_mutex_;
  Lifecycle lifecycle_ GPUVM_GUARDED_BY(state_mutex_);
  MemoryPreparation* to_break_off_ GPUVM_GUARDED_BY(state_mutex_) = nullptr;

  /// The worker holds it while a part comes to be or starts over at power-on state, never during a
  /// reset of real devices; inspect() holds it while it looks. Taken before any device's lock.
  mutable Mutex structure_;
  std::array<const Inspectable*, static_cast<std::size_t>(Part::kCount)> shown_
      GPUVM_GUARDED_BY(structure_) = {};

  HelperList helpers_;
  /// Last to go: shared memory is cleared then, and nobody may be in the midst of writing it to a
  /// disk.
  std::unique_ptr<GuestMemory> memory_;
  GuestDisks disks_;
  FirstBoot first_boot_;
  std::unique_ptr<DiskFile> first_boot_disk_;  ///< null without cloud-init's files
  Networks networks_;
  ServiceHosts services_;
  std::unique_ptr<HostDevices> devices_;
  std::optional<NumaPlan> numa_;
  std::unique_ptr<MachineReset> reset_;
  std::vector<AttachableCard> attachable_;  ///< until hot_plug_ has them
  /// Its cards outlive pci_, which shows them, and the VM, which knows their groups.
  std::unique_ptr<HotPlug> hot_plug_;
  std::optional<LinuxImage> kernel_;  ///< read, not yet in guest memory; see prepare_kernel()
  std::unique_ptr<MemoryPreparation> preparation_;  ///< absent without devices
  std::unique_ptr<GuestVm> vm_;
  PortBus ports_{"I/O ports"};
  MmioBus mmio_{"MMIO"};
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<VariableFile> efi_variables_;  ///< until efi_ has it
  VariableFile* variable_file_ = nullptr;        ///< the same, if it is a file
  std::unique_ptr<HandoverBoot> efi_;            ///< null unless the boot mode is EFI handover
  std::unique_ptr<UefiBoot> uefi_;               ///< null unless the boot mode is UEFI
  std::unique_ptr<PciComplex> pci_;
  std::unique_ptr<VcpuThreads> threads_;
};

}  // namespace gpuvm
