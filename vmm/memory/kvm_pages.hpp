// SPDX-License-Identifier: Apache-2.0
// Where KVM has pages of its own among guest addresses: one for the identity map that Intel CPUs
// without unrestricted guest need, then three for VM86 mode. Below the 4 GiB firmware area, above
// all windows and APICs (Linux, Documentation/virt/kvm/api.rst, KVM_SET_IDENTITY_MAP_ADDR and
// KVM_SET_TSS_ADDR).
#pragma once

#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

inline constexpr GuestAddress kKvmPagesBase{0xfeffc000};
inline constexpr std::uint64_t kKvmPagesSize = 4 * kPageSize;

}  // namespace gpuvm
