// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/descriptor_budget.hpp"

#include <sys/resource.h>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// KVM, VFIO, memory, log, events, consoles and their clients, the control socket's.
constexpr std::uint64_t kAnyGuest = 160;
constexpr std::uint64_t kEachCpu = 2;
constexpr std::uint64_t kEachFunction = 12;  ///< its device and sysfs files, INTx, errors, relays
constexpr std::uint64_t kEachQueue = 4;      ///< a doorbell, an interrupt, a vhost and a ring
constexpr std::uint64_t kEachHelper = 12;

}  // namespace

std::uint64_t descriptors_for(const DescriptorNeeds& needs) {
  return kAnyGuest + needs.cpus * kEachCpu + needs.functions * kEachFunction + needs.vectors +
         needs.queues * kEachQueue + needs.helpers * kEachHelper;
}

Status check_descriptors(const DescriptorNeeds& needs, std::uint64_t limit) {
  const std::uint64_t needed = descriptors_for(needs);
  if (needed <= limit) {
    return {};
  }
  return fail(
      ErrorKind::kHost,
      "The guest may come to need {} open files ({} interrupt vectors of its devices), and "
      "this process may have {}: raise the hard limit, `ulimit -Hn {}` or LimitNOFILE={} of "
      "the systemd unit",
      needed, needs.vectors, limit, needed, needed);
}

std::uint64_t descriptor_limit() {
  struct rlimit limit {};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

std::uint64_t raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      log::debug("The limit of open files stays as it is");
    }
  }
  return descriptor_limit();
}

}  // namespace gpuvm
