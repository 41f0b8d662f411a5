// SPDX-License-Identifier: Apache-2.0
// Machine: the composition root. create() is the list of steps that build a guest; members are in
// the order in which they come to be, so that destruction runs the other way: vCPU threads first,
// host devices and memory last.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "firmware/linux/linux_image.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/kvm/kvm_vm.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/boot/efi_boot.hpp"
#include "vmm/machine/boot/platform.hpp"
#include "vmm/machine/boot/uefi_boot.hpp"
#include "vmm/machine/devices/device_reset.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/memory/memory_preparation.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
#include "vmm/machine/pci/pci_complex.hpp"
#include "vmm/machine/run/event_log.hpp"
#include "vmm/machine/run/lifecycle.hpp"
#include "vmm/machine/run/vcpu_threads.hpp"

namespace gpuvm {

/// Control thread only.
class Machine : public Inspectable {
 public:
  struct Options {
    const Config& config;
    ConsoleSink& console;
    MachineRequests requests;
    VcpuThreads::OnEvent on_vcpu_event;
    std::function<void(Error)> on_failure;  ///< from any thread: the guest cannot go on
    std::function<bool()> is_unwanted;      ///< asked between the steps of create()
    EventLog* events = nullptr;             ///< outlives the machine; null: nobody wants to know
  };
  /// Builds the machine; no guest code runs yet. Errors: of every kind, kUsage only where it became
  /// unwanted; with the host left as it was.
  static Result<std::unique_ptr<Machine>> create(Options options);
  ~Machine() override;

  /// Resets the devices, loads the guest and starts its CPUs.
  Status power_on();
  /// Afterwards the guest asks for nothing more. Once or more often.
  void stop_vcpus();
  /// What a reset button does: CPUs, devices and memory contents start over; memory stays pinned,
  /// files stay open. is_unwanted: asked when the devices are reset; if so, no guest is started.
  Status reboot(const std::function<bool()>& is_unwanted);
  /// Stops the guest and leaves its devices quiet. Errors: kUnsafeDevice where one does not come
  /// back.
  Status stop();

  SerialPort& serial() { return platform_->serial(); }
  AcpiPm& power() { return platform_->power(); }
  LifecycleState state() const { return lifecycle_.state(); }
  /// The guest's functions, for what the host has to say about them.
  std::vector<PhysicalDevice*> devices() const { return devices_->devices(); }
  void inspect(InspectNode& node) const override;

 private:
  explicit Machine(Options options);
  Status open_files();
  Status take_devices();
  Status add_memory();
  Status reset_devices_and_add_vm();
  Status add_vm();
  Status add_devices();
  Holdings holdings() const;
  Status enter(LifecycleState next);
  Status fail_with(Status status);
  GuestTables tables();
  Status add_uefi();
  Status load_guest_memory();
  Status load_and_start();

  Options options_;
  Lifecycle lifecycle_;
  bool is_stopped_ = false;          ///< whatever came of it
  bool devices_are_used_ = false;    ///< by a guest, since they were last reset
  log::RateLimit guest_resets_{20};  ///< of events: more a second than hardware can do
  HostSystem host_;
  DiskFiles disk_files_;
  std::unique_ptr<GuestMemory> memory_;
  std::unique_ptr<HostDevices> devices_;
  std::optional<NumaPlan> numa_;
  std::unique_ptr<DeviceReset> reset_;
  std::optional<LinuxImage> kernel_;                ///< read, not yet in guest memory
  std::unique_ptr<MemoryPreparation> preparation_;  ///< absent without devices
  std::unique_ptr<KvmSystem> kvm_;
  std::unique_ptr<KvmVm> vm_;
  unsigned address_bits_ = 0;
  PortBus ports_{"I/O ports"};
  MmioBus mmio_{"MMIO"};
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<VariableFile> efi_variables_;  ///< until efi_ has it
  std::unique_ptr<EfiBoot> efi_;                 ///< null unless the boot mode is EFI handover
  std::unique_ptr<UefiBoot> uefi_;               ///< null unless the boot mode is UEFI
  std::unique_ptr<PciComplex> pci_;
  std::uint64_t reboots_ = 0;
  std::unique_ptr<VcpuThreads> threads_;
};

}  // namespace gpuvm
