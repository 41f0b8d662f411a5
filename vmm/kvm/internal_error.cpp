// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/internal_error.hpp"

#include <fmt/format.h>

#include <array>

namespace gpuvm {
namespace {

struct InternalError {
  std::uint32_t number;
  const char* text;
};
// Linux, include/uapi/linux/kvm.h, KVM_INTERNAL_ERROR_*.
constexpr std::array<InternalError, 3> kErrors{{
    {2, "two exceptions met while KVM delivered one"},
    {3, "an exit came while KVM delivered an event"},
    {4, "the CPU left the guest for a reason that KVM does not know"},
}};

}  // namespace

std::string describe_internal_error(std::uint32_t suberror,
                                    std::span<const std::uint8_t> instruction,
                                    const std::string& position) {
  if (suberror == kEmulationFailed) {
    std::string bytes;
    for (const std::uint8_t byte : instruction) {
      bytes += fmt::format(" {:02x}", byte);
    }
    return fmt::format(
        "KVM could not execute an instruction of the guest, which it had to emulate:{} at {}. "
        "Likely "
        "causes: the guest jumped to where no code is; it touched a device by an instruction that "
        "KVM does not emulate (SSE or AVX on a BAR that is not mapped); the host's KVM itself runs "
        "without a CPU's virtualization",
        bytes.empty() ? " bytes that KVM does not tell," : bytes + ",", position);
  }
  for (const InternalError& error : kErrors) {
    if (error.number == suberror) {
      return fmt::format("KVM gave the guest up: {} (internal error {}), at {}", error.text,
                         suberror, position);
    }
  }
  return fmt::format("KVM gave the guest up (internal error {}), at {}", suberror, position);
}

}  // namespace gpuvm
