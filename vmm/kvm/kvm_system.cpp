// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_system.hpp"

#include <cpuid.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/base/bytes.hpp"
#include "vmm/kvm/kvm_uapi.hpp"

namespace gpuvm {
namespace {

struct NeededCapability {
  int number;
  const char* what;
};

/// All older than Linux 5.0: a host that lacks one is not a Linux KVM as we know it.
constexpr std::array kNeeded = {
    NeededCapability{KVM_CAP_IRQCHIP, "an in-kernel interrupt controller"},
    NeededCapability{KVM_CAP_PIT2, "an in-kernel timer"},
    NeededCapability{KVM_CAP_USER_MEMORY, "memory slots"},
    NeededCapability{KVM_CAP_READONLY_MEM, "read-only memory slots"},
    NeededCapability{KVM_CAP_IRQ_ROUTING, "interrupt routing"},
    NeededCapability{KVM_CAP_IRQFD, "irqfd"},
    NeededCapability{KVM_CAP_IRQFD_RESAMPLE, "irqfd with resampling (INTx)"},
    NeededCapability{KVM_CAP_EXT_CPUID, "CPUID control"},
    NeededCapability{KVM_CAP_TSC_DEADLINE_TIMER, "the TSC deadline timer"},
    NeededCapability{KVM_CAP_IMMEDIATE_EXIT, "immediate exits"},
};

/// Room for KVM_GET_SUPPORTED_CPUID; hosts have about 60.
constexpr std::size_t kMaxCpuidEntries = 256;

/// KVM leaves the processor's brand string (leaves 0x80000002 to 0x80000004) to the monitor: the
/// host's.
void add_brand_string(std::vector<CpuidEntry>& entries) {
  for (std::uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    CpuidEntry host{.leaf = leaf};
    if (__get_cpuid(leaf, &host.registers[0], &host.registers[1], &host.registers[2],
                    &host.registers[3]) == 0) {
      return;
    }
    std::erase_if(entries, [leaf](const CpuidEntry& entry) { return entry.leaf == leaf; });
    entries.push_back(host);
  }
}

Error cannot_open(const std::string& path) {
  const int reason = errno;
  if (reason == ENOENT) {
    return fail(ErrorKind::kHost,
                "{} is missing: enable virtualisation (SVM or VT-x) in the firmware setup and load "
                "the module: modprobe kvm-amd (or kvm-intel)",
                path);
  }
  if (reason == EACCES || reason == EPERM) {
    return fail(ErrorKind::kHost,
                "{} may not be opened by this user: run as root, or add the user to group kvm: "
                "usermod -aG kvm $USER",
                path);
  }
  return fail_errno(ErrorKind::kHost, "Cannot open " + path, reason);
}

}  // namespace

Result<KvmSystem> KvmSystem::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) {
    return cannot_open(path);
  }
  KvmSystem system(std::move(fd));
  TRY_CONTEXT(system.check(), path);
  return system;
}

int KvmSystem::capability(int number) const {
  return ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, number);
}

Status KvmSystem::check() {
  if (::ioctl(fd_.get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
    return fail(ErrorKind::kHost, "This is not a KVM device with API version {}", KVM_API_VERSION);
  }
  for (const auto& needed : kNeeded) {
    if (capability(needed.number) <= 0) {
      return fail(ErrorKind::kHost, "The host's KVM lacks {}", needed.what);
    }
  }
  const int size = ::ioctl(fd_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (size < static_cast<int>(sizeof(kvm_run))) {
    return fail(ErrorKind::kHost, "The host's KVM reports a vCPU area of {} bytes", size);
  }
  run_area_size_ = static_cast<std::size_t>(size);
  max_vcpus_ = static_cast<unsigned>(capability(KVM_CAP_MAX_VCPUS));
  max_slots_ = static_cast<unsigned>(capability(KVM_CAP_NR_MEMSLOTS));
  return {};
}

Result<UniqueFd> KvmSystem::create_vm() const {
  int raw = -1;
  do {  // KVM_CREATE_VM can be interrupted while it waits for memory
    raw = ::ioctl(fd_.get(), KVM_CREATE_VM, 0);
  } while (raw < 0 && errno == EINTR);
  UniqueFd vm(raw);
  if (!vm) {
    return fail_errno(ErrorKind::kHost, "Cannot create a VM");
  }
  return vm;
}

Result<std::vector<CpuidEntry>> KvmSystem::supported_cpuid() const {
  auto entries = TRY(read_cpuid(kvm_uapi::kGetSupportedCpuid));
  add_brand_string(entries);
  fix_features(entries);
  return entries;
}

Result<std::vector<CpuidEntry>> KvmSystem::supported_hyperv() const {
  if (capability(KVM_CAP_SYS_HYPERV_CPUID) <= 0) {
    return std::vector<CpuidEntry>();
  }
  return read_cpuid(kvm_uapi::kGetSupportedHvCpuid);
}

Result<std::vector<CpuidEntry>> KvmSystem::read_cpuid(unsigned long request) const {
  std::vector<std::byte> buffer(sizeof(kvm_uapi::CpuidHead) +
                                kMaxCpuidEntries * sizeof(kvm_cpuid_entry2));
  kvm_uapi::CpuidHead head{};
  head.nent = kMaxCpuidEntries;
  std::memcpy(buffer.data(), &head, sizeof head);
  if (::ioctl(fd_.get(), request, buffer.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read the CPUID that KVM supports");
  }
  std::memcpy(&head, buffer.data(), sizeof head);
  std::vector<CpuidEntry> entries;
  for (std::size_t i = 0; i < head.nent; ++i) {
    const auto raw = load_at<kvm_cpuid_entry2>(buffer, sizeof head + i * sizeof(kvm_cpuid_entry2));
    if (!raw) {
      break;
    }
    entries.push_back({.leaf = raw->function,
                       .subleaf = raw->index,
                       .indexed = (raw->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0,
                       .registers = {raw->eax, raw->ebx, raw->ecx, raw->edx}});
  }
  return entries;
}

}  // namespace gpuvm
