// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_vm.hpp"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/base/log.hpp"
#include "vmm/memory/kvm_pages.hpp"

namespace gpuvm {
namespace {

constexpr unsigned long kTssAddress = kKvmPagesBase.value() + kPageSize;

}  // namespace

KvmVm::KvmVm(const KvmSystem& system, KvmVmOptions options)
    : system_(system), options_(std::move(options)), slots_(system.max_memory_slots()) {}

Result<std::unique_ptr<KvmVm>> KvmVm::create(const KvmSystem& system, KvmVmOptions options) {
  const std::uint32_t cpus = options.cpus.cpus();
  if (cpus == 0 || cpus > system.max_vcpus()) {
    return fail(ErrorKind::kHost,
                "The host's KVM supports 1 to {} vCPUs, not {}; change machine.cpus",
                system.max_vcpus(), cpus);
  }
  std::unique_ptr<KvmVm> vm(new KvmVm(system, std::move(options)));
  TRY(vm->rebuild());
  return vm;
}

Status KvmVm::rebuild() {
  set_vcpus({});
  vfio_link_.reset();
  slots_.detach();
  interrupts_.detach();
  doorbells_.detach();
  vm_.reset();
  vm_ = TRY(system_.create_vm());
  TRY(create_chips());
  TRY(slots_.attach(vm_ioctl(vm_.get())));
  TRY(interrupts_.attach(vm_ioctl(vm_.get())));
  TRY(doorbells_.attach(vm_ioctl(vm_.get())));
  set_vcpus(TRY(create_vcpus()));
  return add_vfio_groups();
}

Status KvmVm::create_chips() {
  std::uint64_t identity_map = kKvmPagesBase.value();
  ::ioctl(vm_.get(), KVM_SET_IDENTITY_MAP_ADDR,
          &identity_map);  // meaningless on AMD, where it may fail
  ::ioctl(vm_.get(), KVM_SET_TSS_ADDR, kTssAddress);
  if (::ioctl(vm_.get(), KVM_CREATE_IRQCHIP, 0) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot create the interrupt controllers");
  }
  kvm_pit_config pit{};
  pit.flags = KVM_PIT_SPEAKER_DUMMY;
  if (::ioctl(vm_.get(), KVM_CREATE_PIT2, &pit) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot create the timer");
  }
  // Reinjection of lost ticks only serves guests without a better clock, and costs AVIC.
  kvm_reinject_control reinject{};
  ::ioctl(vm_.get(), KVM_REINJECT_CONTROL, &reinject);
  return {};
}

void KvmVm::set_vcpus(std::vector<std::unique_ptr<Vcpu>> vcpus) {
  const MutexLock lock(vcpus_mutex_);
  vcpus_.swap(vcpus);
}

Result<std::vector<std::unique_ptr<Vcpu>>> KvmVm::create_vcpus() {
  std::vector<std::unique_ptr<Vcpu>> vcpus;
  for (std::uint32_t index = 0; index < options_.cpus.cpus(); ++index) {
    auto vcpu = TRY_CONTEXT(
        Vcpu::create(vm_.get(), index, options_.cpus.apic_id(index), system_.run_area_size()),
        fmt::format("vCPU {}", index));
    TRY(vcpu->set_cpuid(guest_cpuid(options_.cpuid, index, options_.cpus)));
    TRY(vcpu->limit_machine_check_banks());
    if (options_.enable_memory_types) {
      TRY_CONTEXT(vcpu->enable_memory_types(), fmt::format("vCPU {}", index));
    }
    vcpus.push_back(std::move(vcpu));
  }
  return vcpus;
}

Status KvmVm::add_vfio_groups() {
  if (options_.vfio_group_fds.empty()) {
    return {};
  }
  TRY(make_vfio_link());
  for (const int group : options_.vfio_group_fds) {
    TRY(tell_of_group(group, true));
  }
  return {};
}

Status KvmVm::make_vfio_link() {
  kvm_create_device request{};
  request.type = KVM_DEV_TYPE_VFIO;
  if (::ioctl(vm_.get(), KVM_CREATE_DEVICE, &request) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot link KVM with VFIO");
  }
  vfio_link_.reset(static_cast<int>(request.fd));
  return {};
}

Status KvmVm::tell_of_group(int group, bool is_held) const {
  kvm_device_attr attribute{};
  attribute.group = KVM_DEV_VFIO_GROUP;
  attribute.attr = is_held ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL;
  attribute.addr = reinterpret_cast<std::uintptr_t>(&group);
  if (::ioctl(vfio_link_.get(), KVM_SET_DEVICE_ATTR, &attribute) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot tell KVM of a VFIO group");
  }
  return {};
}

Status KvmVm::hold_vfio_group(int group) {
  if (!vfio_link_) {
    TRY(make_vfio_link());
  }
  TRY(tell_of_group(group, true));
  options_.vfio_group_fds.push_back(group);
  return {};
}

void KvmVm::release_vfio_group(int group) {
  std::erase(options_.vfio_group_fds, group);
  if (const auto released = vfio_link_ ? tell_of_group(group, false) : Status(); !released) {
    log::warn("{}", released.error().to_string());
  }
}

void KvmVm::inspect(InspectNode& node) const {
  slots_.inspect(node.child("memory_slots"));
  interrupts_.inspect(node.child("interrupts"));
  doorbells_.inspect(node.child("doorbells"));
  const MutexLock lock(vcpus_mutex_);
  for (const auto& vcpu : vcpus_) {
    vcpu->inspect(node.child(fmt::format("vcpu_{}", vcpu->index())));
  }
}

}  // namespace gpuvm
