// SPDX-License-Identifier: Apache-2.0
// Checks of the host before a guest starts: each says in one sentence what is missing and what to
// do. They open nothing for longer than the check and change nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// What a guest asks of its host.
struct HostNeeds {
  std::vector<Bdf> devices;    ///< every function to pass through
  std::vector<Bdf> unmanaged;  ///< of them: not to be bound by gpuvm, so they must be bound already
  std::uint64_t memory = 0;    ///< bytes of guest RAM
  std::uint64_t huge_page_size = 0;  ///< bytes; 0: ordinary pages
};

/// This process's right to pin memory (getrlimit(2) RLIMIT_MEMLOCK, capabilities(7) CAP_IPC_LOCK).
struct PinningRights {
  std::optional<std::uint64_t> limit;  ///< bytes; nothing: unlimited
  bool may_exceed = false;             ///< has CAP_IPC_LOCK
  static PinningRights of_this_process(const HostSystem& host);
};

/// /dev/kvm is there and may be opened. Errors: kHost.
Status check_kvm(const HostSystem& host);
/// The host has IOMMU groups. Errors: kHost.
Status check_iommu(const HostSystem& host);
/// The function exists, is no bridge, no frame buffer of the host is in its BARs (bar_claims.hpp),
/// and its driver can be taken (managed) or is VFIO's. Errors: kConfig, kHost.
Status check_device(const HostSystem& host, const Bdf& bdf, bool managed_binding);
/// The function's group can go to the guest together with `ours`. Errors: kHost.
Status check_group(const HostSystem& host, const Bdf& bdf, std::span<const Bdf> ours);
/// Nobody else holds /dev/vfio/<group>. Errors: kHost naming the process.
Status check_group_free(const HostSystem& host, const Bdf& bdf);
/// RAM fits into the host's free memory or free huge pages. Errors: kHost.
Status check_memory(const HostSystem& host, std::uint64_t bytes, std::uint64_t huge_page_size);
/// Passing through pins all of the guest's memory. Errors: kHost.
Status check_pinning(const PinningRights& rights, std::uint64_t bytes);
/// The kernel's version with its stable number, also where a distribution's release name has none.
std::string kernel_release(const HostSystem& host);
/// The running kernel is none with a known fault in resets. Errors: kHost.
Status check_kernel_release(std::string_view release);

/// The text for a busy group: names the processes that hold /dev/vfio/<group>, if they can be seen.
Error group_busy_error(const HostSystem& host, std::uint32_t group);

struct Finding {
  std::string check;  ///< "kvm", "iommu", "memory", "device", …
  Status outcome;
  std::string of = {};    ///< the device, or what else it concerns; empty: the host or the guest
  std::string note = {};  ///< of a good outcome: what the user should know of it all the same
};
/// Every check that applies, in the order in which they are best cured.
std::vector<Finding> check_host(const HostSystem& host, const HostNeeds& needs);
/// The first failure of check_host().
Status require_host(const HostSystem& host, const HostNeeds& needs);

}  // namespace gpuvm
