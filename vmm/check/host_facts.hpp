// SPDX-License-Identifier: Apache-2.0
// Small facts of a host that several checks ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/host/host_system.hpp"

namespace gpuvm {

enum class CpuMaker { kIntel, kAmd, kOther };

/// Of the first processor, as /proc/cpuinfo has it.
struct CpuFacts {
  CpuMaker maker = CpuMaker::kOther;
  bool has_virtualisation = false;  ///< vmx or svm among its flags
  bool is_foreign = false;          ///< no x86 processor: it tells of itself, and has no flags
  bool is_guest = false;            ///< the host is itself a guest of a hypervisor
  std::optional<unsigned> address_bits = {};  ///< of physical addresses
};
CpuFacts cpu_facts_of(const HostSystem& host);

/// The word of the kernel's command line that is `begin` or begins with it; nothing: none.
std::optional<std::string> boot_word(const HostSystem& host, std::string_view begin);

/// How an argument gets onto the kernel's command line, for cures.
std::string add_boot_argument(std::string_view argument);

/// The kernel has the module, loaded, built in, or to be loaded. `name` with underscores.
enum class ModuleState { kLoaded, kAvailable, kMissing, kUnknown };
ModuleState module_state(const HostSystem& host, std::string_view name);

/// Linux 6.1 or later and so on; false where the release is not known.
bool is_kernel_at_least(const HostSystem& host, unsigned major, unsigned minor);

}  // namespace gpuvm
