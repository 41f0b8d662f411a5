// SPDX-License-Identifier: Apache-2.0
// struct boot_params ("zero page") and the setup_data list, as bytes to be put into guest memory.
// Specification: Documentation/arch/x86/zero-page.rst and boot.rst (setup_data).
// Missing: SETUP_INDIRECT, SETUP_E820_EXT (more than 128 entries are an error), a frame buffer in
// screen_info (the guest starts without a screen of its own).
#pragma once

#include <asm/bootparam.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "firmware/linux/e820.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

using ZeroPage = std::array<std::byte, sizeof(::boot_params)>;
static_assert(sizeof(::boot_params) == 4096);

/// What the zero page tells the kernel.
struct BootParamsOptions {
  ::setup_header header{};  ///< of the kernel file
  GuestAddress command_line;
  std::optional<GuestRange> initrd;
  std::optional<GuestAddress> rsdp;        ///< ACPI's root; without it Linux scans the ROM area
  std::optional<GuestAddress> setup_data;  ///< the first node of the list
  std::span<const E820Entry> e820;
  bool is_randomised = false;  ///< the loader has moved the kernel's virtual addresses (KASLR)
};

/// Errors: kInternal when the memory map has more than 128 entries or the command line lies above
/// 4 GiB.
Result<ZeroPage> build_zero_page(const BootParamsOptions& options);

/// One node of the setup_data list: a SETUP_* type of <asm/bootparam.h> and its data.
struct SetupData {
  std::uint32_t type = 0;
  std::vector<std::byte> bytes;
};

/// Bytes that build_setup_data() will make; 0 for an empty list.
std::uint64_t setup_data_size(std::span<const SetupData> nodes);

/// The list, every node 8-byte aligned and linked to the next, for the address `at` (itself 8-byte
/// aligned). Errors: kInternal when a node is larger than its 32-bit length can say.
Result<std::vector<std::byte>> build_setup_data(std::span<const SetupData> nodes, GuestAddress at);

}  // namespace gpuvm
