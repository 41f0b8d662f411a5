// SPDX-License-Identifier: Apache-2.0
// What KVM says when it gives a guest up by itself (Linux, Documentation/virt/kvm/api.rst,
// KVM_EXIT_INTERNAL_ERROR), for people.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gpuvm {

/// KVM could not emulate an instruction of the guest.
inline constexpr std::uint32_t kEmulationFailed = 1;  // KVM_INTERNAL_ERROR_EMULATION

/// One sentence and likely causes. `instruction`: its bytes, as far as KVM tells them; `position`:
/// where the vCPU is.
std::string describe_internal_error(std::uint32_t suberror,
                                    std::span<const std::uint8_t> instruction,
                                    const std::string& position);

}  // namespace gpuvm
