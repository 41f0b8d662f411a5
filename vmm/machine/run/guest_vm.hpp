// SPDX-License-Identifier: Apache-2.0
// GuestVm: the virtual machine of the host's kernel as Machine sees it: vCPUs, memory slots and
// interrupts. make_kvm_guest_vm() makes KVM's; tests have another.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "vmm/bus/doorbells.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/memory_slots.hpp"
#include "vmm/config/config.hpp"
#include "vmm/kvm/virtual_cpu.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class GuestVm : public Inspectable {
 public:
  /// How many address bits the guest's processors have.
  virtual unsigned physical_address_bits() const = 0;
  virtual MemorySlots& slots() = 0;
  virtual std::size_t slot_count() const = 0;
  virtual MsiController& msi() = 0;
  virtual InterruptPins& pins() = 0;
  virtual Doorbells& doorbells() = 0;
  /// Until rebuild(); the first is the boot CPU.
  virtual std::vector<VirtualCpu*> vcpus() = 0;
  /// A VFIO group of functions that come later, and its end; as KvmVm.
  virtual Status hold_group(int group) = 0;
  virtual void release_group(int group) = 0;
  /// vCPUs and interrupt controllers are new; memory slots and doorbells are kept. Only while no
  /// vCPU runs and no interrupt is connected.
  virtual Status rebuild() = 0;
};

/// All must outlive the VM.
struct GuestVmOptions {
  const Config& config;
  const GuestMemory& memory;  ///< its regions get slots
  const NumaPlan& numa;
  const HostDevices& devices;
};
using MakeGuestVm = std::function<Result<std::unique_ptr<GuestVm>>(const GuestVmOptions&)>;

/// Errors: kHost; kConfig where the configuration asks of KVM what it cannot do.
Result<std::unique_ptr<GuestVm>> make_kvm_guest_vm(const GuestVmOptions& options);

}  // namespace gpuvm
