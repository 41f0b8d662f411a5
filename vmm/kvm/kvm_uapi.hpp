// SPDX-License-Identifier: Apache-2.0
// <linux/kvm.h>, and what cannot be used from it in C++: structures that end in
// __DECLARE_FLEX_ARRAY. Debian 12's <linux/stddef.h> expands it to an empty struct, which has size
// 1 in C++, so that sizeof, offsets and ioctl numbers come out wrong. The heads of these structures
// are declared here with the size they have in C (KVM API, 4.20, 4.46, 4.133).
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cstdint>

namespace gpuvm::kvm_uapi {

/// struct kvm_cpuid2 without its entries (kvm_cpuid_entry2).
struct CpuidHead {
  std::uint32_t nent;
  std::uint32_t padding;
};
static_assert(sizeof(CpuidHead) == 8 && sizeof(kvm_cpuid_entry2) == 40);

/// struct kvm_stats_desc without its name.
struct StatisticsDescriptor {
  std::uint32_t flags;
  std::int16_t exponent;
  std::uint16_t size;
  std::uint32_t offset;
  std::uint32_t bucket_size;
};
static_assert(sizeof(StatisticsDescriptor) == 16);

/// struct kvm_irq_routing without its entries.
struct RoutingHead {
  std::uint32_t nr;
  std::uint32_t flags;
};
static_assert(sizeof(RoutingHead) == 8 && sizeof(kvm_irq_routing_entry) == 48);

/// struct kvm_msrs with one entry.
struct OneMsr {
  std::uint32_t nmsrs;
  std::uint32_t padding;
  kvm_msr_entry entry;
};
static_assert(sizeof(OneMsr) == 24 && sizeof(kvm_msr_entry) == 16);
/// Its head alone, from which the ioctls' numbers come.
struct MsrsHead {
  std::uint32_t nmsrs;
  std::uint32_t padding;
};

constexpr unsigned long kGetMsrs = _IOWR(KVMIO, 0x88, MsrsHead);
constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, MsrsHead);
constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CpuidHead);
constexpr unsigned long kGetSupportedHvCpuid = _IOWR(KVMIO, 0xc1, CpuidHead);
constexpr unsigned long kSetCpuid = _IOW(KVMIO, 0x90, CpuidHead);
constexpr unsigned long kSetGsiRouting = _IOW(KVMIO, 0x6a, RoutingHead);

}  // namespace gpuvm::kvm_uapi
