// SPDX-License-Identifier: Apache-2.0
// The GDT, the identity page tables and the registers with which a 64-bit kernel starts.
// Specification: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; Intel SDM volume 3,
// sections 3.4.5 (descriptors) and 4.5 (4-level paging).
// Missing: 5-level paging at the entry (a kernel that wants it turns it on by itself).
#pragma once

#include <optional>

#include "firmware/linux/cpu_entry_state.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// Writes GDT and page tables to their places in linux_layout. The tables map the first 4 GiB to
/// themselves, and what `kernel` touches above, in 2 MiB pages: every 64-bit CPU has those (1 GiB
/// pages need a CPUID bit) and they take eight pages of memory. `kernel`: at most 1 GiB, below 512
/// GiB. Errors: kConfig when the guest has no RAM there.
Status write_entry_tables(const GuestMemory& memory, std::optional<GuestRange> kernel = {});

/// Registers for an entry at `entry` with the zero page at linux_layout::kZeroPage: long mode, flat
/// segments, interrupts off. Needs what write_entry_tables() wrote.
CpuEntryState linux_entry_state(GuestAddress entry);

}  // namespace gpuvm
