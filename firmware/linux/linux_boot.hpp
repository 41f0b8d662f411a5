// SPDX-License-Identifier: Apache-2.0
// Direct boot of Linux: puts a kernel, its initrd, command line, zero page and entry structures
// into guest memory and says with which registers the boot processor starts.
// Specification: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".
// Missing: loading above 4 GiB (initrds included), several initrds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firmware/linux/boot_params.hpp"
#include "firmware/linux/cpu_entry_state.hpp"
#include "firmware/linux/e820.hpp"
#include "firmware/linux/kernel_place.hpp"
#include "firmware/linux/linux_image.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

struct LinuxBootOptions {
  /// Not owned, never null.
  const LinuxImage* kernel = nullptr;
  std::string initrd_path;    ///< "": none
  FileOpener open_file = {};  ///< that one's
  std::string command_line;
  std::optional<GuestAddress> rsdp;  ///< written by the machine, in reserved memory
  /// ECAM, ACPI tables and the like: go to the e820 map, and nothing is loaded there.
  std::vector<E820Entry> reserved;
  std::vector<SetupData> setup_data;  ///< in the order in which the kernel sees it
  /// A bzImage is unpacked here rather than in the guest; it has a payload().
  bool unpacks = false;
  RandomBelow random = host_random_below;  ///< for the kernel's addresses
};

/// Writes everything (also what must be zero, so that it serves a reboot as well). Call while no
/// vCPU runs. Errors: kConfig naming the file or text and the cure; the memory is then in no
/// defined state.
Result<CpuEntryState> load_linux(const GuestMemory& memory, const LinuxBootOptions& options);

/// The highest page-aligned place for `size` bytes inside window that touches none of `avoid`.
std::optional<GuestRange> place_high(std::uint64_t size, GuestRange window,
                                     std::span<const GuestRange> avoid);

}  // namespace gpuvm
