// SPDX-License-Identifier: Apache-2.0
// The GuestVm that runs on KVM, with what the configuration says of processors.
#include <algorithm>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/kvm/cpu_features.hpp"
#include "vmm/kvm/kvm_vm.hpp"
#include "vmm/machine/run/guest_vm.hpp"

namespace gpuvm {
namespace {

class KvmGuestVm final : public GuestVm {
 public:
  static Result<std::unique_ptr<GuestVm>> create(KvmSystem system, KvmVmOptions options) {
    std::unique_ptr<KvmGuestVm> made(new KvmGuestVm(std::move(system)));
    made->address_bits_ = gpuvm::physical_address_bits(options.cpuid);
    made->vm_ = TRY(KvmVm::create(made->system_, std::move(options)));
    return std::unique_ptr<GuestVm>(std::move(made));
  }

  unsigned physical_address_bits() const override { return address_bits_; }
  MemorySlots& slots() override { return vm_->slots(); }
  std::size_t slot_count() const override { return vm_->slots().count(); }
  MsiController& msi() override { return vm_->interrupts(); }
  InterruptPins& pins() override { return vm_->interrupts(); }
  Doorbells& doorbells() override { return vm_->doorbells(); }
  std::vector<VirtualCpu*> vcpus() override {
    std::vector<VirtualCpu*> all;
    for (const auto& vcpu : vm_->vcpus()) {
      all.push_back(vcpu.get());
    }
    return all;
  }
  Status hold_group(int group) override { return vm_->hold_vfio_group(group); }
  void release_group(int group) override { vm_->release_vfio_group(group); }
  Status rebuild() override { return vm_->rebuild(); }
  void inspect(InspectNode& node) const override { vm_->inspect(node); }

 private:
  explicit KvmGuestVm(KvmSystem system) : system_(std::move(system)) {}

  KvmSystem system_;
  unsigned address_bits_ = 0;
  std::unique_ptr<KvmVm> vm_;  ///< refers to system_
};

/// NVIDIA's drivers look for the capability only where they see a hypervisor.
void warn_of_hidden_hypervisor(const Config& config) {
  const bool cliques = std::any_of(config.pci.begin(), config.pci.end(), [](const PciConfig& pci) {
    return pci.gpudirect_clique.has_value();
  });
  const bool shows_hyperv = !config.cpu.hyperv.empty() && config.cpu.hyperv_vendor_id.empty();
  if (config.cpu.hide_hypervisor && !shows_hyperv && cliques) {
    log::warn(
        "pci.gpudirect_clique has no effect: cpu.hide_hypervisor hides from NVIDIA's drivers "
        "that they may look for it");
  }
}

}  // namespace

Result<std::unique_ptr<GuestVm>> make_kvm_guest_vm(const GuestVmOptions& options) {
  const auto& cpu = options.config.cpu;
  auto system = TRY(KvmSystem::open());
  KvmVmOptions vm;
  vm.cpus = options.numa.cpus();
  vm.cpuid = TRY(system.supported_cpuid());
  TRY(hide_features(vm.cpuid, cpu.hide));
  TRY(show_hypervisor(vm.cpuid, {.hidden = cpu.hide_hypervisor,
                                 .hyperv_vendor_id = cpu.hyperv_vendor_id,
                                 .hyperv = cpu.hyperv}));
  if (const auto offered = TRY(system.supported_hyperv()); !offered.empty()) {
    TRY(check_hyperv(vm.cpuid, offered));
  }
  warn_of_hidden_hypervisor(options.config);
  vm.enable_memory_types = options.config.boot.mode != BootMode::kUefi;
  vm.vfio_group_fds = options.devices.group_fds();
  auto made = TRY(KvmGuestVm::create(std::move(system), std::move(vm)));
  for (const auto& region : options.memory.regions()) {
    TRY_CONTEXT(made->slots().map(region.range.base(), region.host, SlotAccess::kReadWrite),
                "Guest memory");
  }
  return made;
}

}  // namespace gpuvm
