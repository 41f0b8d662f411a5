// SPDX-License-Identifier: Apache-2.0
// What the firmware needs of the CPU itself: control registers, descriptor tables, CPUID. On the
// host, tests provide these functions themselves.
#pragma once

#include <cstdint>

namespace gpuvm::efi {

/// CPUID 0x80000001, EDX bit 26.
bool has_giant_pages();
/// Turns no-execute pages on (EFER.NXE) if CPUID has them (0x80000001, EDX bit 20); false
/// otherwise.
bool enable_execute_protection();
/// CR3; also what UEFI asks of the floating point state: CR4.OSFXSR (UEFI 2.10, 2.3.4).
void load_page_tables(std::uint64_t root);
void flush_translations();
/// Our own GDT, and an IDT whose every exception is printed and ends in stop_with().
void load_descriptor_tables();
/// Does nothing for a while.
void relax();
[[noreturn]] void halt();

}  // namespace gpuvm::efi
