// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/doorbell_table.hpp"

#include <linux/kvm.h>

#include <cerrno>

#include "vmm/base/log.hpp"

namespace gpuvm {

Status DoorbellTable::set(GuestAddress at, const Doorbell& doorbell, std::uint32_t flags) const {
  if (!vm_) {
    return {};
  }
  kvm_ioeventfd request{};
  request.addr = at.value();
  request.len = doorbell.size;
  request.fd = doorbell.event_fd;
  request.flags = flags;
  if (doorbell.value) {
    request.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
    request.datamatch = *doorbell.value;
  }
  if (vm_(KVM_IOEVENTFD, &request) != 0) {
    const auto kind = errno == ENOSPC || errno == ENOMEM ? ErrorKind::kHost : ErrorKind::kInternal;
    return fail_errno(
        kind, fmt::format("Cannot set a doorbell of {} bytes at {:#x}", doorbell.size, at.value()));
  }
  return {};
}

Status DoorbellTable::attach(VmIoctl vm) {
  const MutexLock lock(mutex_);
  vm_ = std::move(vm);
  for (const auto& [at, doorbell] : doorbells_) {
    TRY(set(at, doorbell, 0));
  }
  return {};
}

Status DoorbellTable::connect(GuestAddress at, unsigned size, int event_fd) {
  return add(at, {.size = size, .event_fd = event_fd});
}

Status DoorbellTable::connect_value(GuestAddress at, unsigned size, std::uint64_t value,
                                    int event_fd) {
  return add(at, {.size = size, .event_fd = event_fd, .value = value});
}

Status DoorbellTable::add(GuestAddress at, const Doorbell& doorbell) {
  const MutexLock lock(mutex_);
  if (doorbells_.contains(at)) {
    return fail(ErrorKind::kInternal, "There is a doorbell at {:#x} already", at.value());
  }
  TRY(set(at, doorbell, 0));
  doorbells_.emplace(at, doorbell);
  return {};
}

void DoorbellTable::disconnect(GuestAddress at) {
  const MutexLock lock(mutex_);
  const auto found = doorbells_.find(at);
  if (found == doorbells_.end()) {
    return;
  }
  if (const auto status = set(at, found->second, KVM_IOEVENTFD_FLAG_DEASSIGN); !status) {
    log::error("{}", status.error().to_string());
  }
  doorbells_.erase(found);
}

void DoorbellTable::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("count", std::uint64_t{doorbells_.size()});
}

}  // namespace gpuvm
