// SPDX-License-Identifier: Apache-2.0
// Where a kernel goes that its loader unpacks: what the kernel's own decompressor decides otherwise
// (KASLR). Specification: there is none but Linux itself, arch/x86/boot/compressed/kaslr.c: a
// random physical address among all places of RAM, and apart from it a random virtual one in the
// kernel's mapping of 1 GiB; "nokaslr" for neither. Missing: what "mem=", "memmap=" and
// "hugepages=" take away from the choice. With one of them the physical address is the linked one;
// the virtual address is random all the same.
#pragma once

#include <asm/bootparam.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// A random number below `limit`, which is not 0. Errors: kHost.
using RandomBelow = std::function<Result<std::uint64_t>(std::uint64_t limit)>;
/// From the host's pool (getrandom(2)); each number as likely as the others.
Result<std::uint64_t> host_random_below(std::uint64_t limit);

struct KernelChoice {
  const ::setup_header& header;
  std::span<const GuestRange> ram;    ///< by address
  std::span<const GuestRange> avoid;  ///< may overlap one another
  std::string_view command_line;
  RandomBelow random = host_random_below;
};

/// Whether this kernel may move, as far as its header and its command line say.
bool may_move(const KernelChoice& choice);
/// Where its init_size bytes go: at random, or where it was linked to go if it may not move or
/// nothing else is free. Errors: those of `random`. Any thread.
Result<GuestAddress> choose_kernel_base(const KernelChoice& choice);
/// By how many bytes its virtual addresses move up; for a kernel that may move and has relocations.
/// Errors: those of `random`. Any thread.
Result<std::uint64_t> choose_kernel_distance(const KernelChoice& choice);

}  // namespace gpuvm
