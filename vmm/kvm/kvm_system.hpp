// SPDX-License-Identifier: Apache-2.0
// KvmSystem: /dev/kvm, checked for what gpuvm needs (Linux Documentation/virt/kvm/api.rst).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/kvm/cpuid.hpp"

namespace gpuvm {

class KvmSystem {
 public:
  /// Errors: kHost, with the command or setting that cures it.
  static Result<KvmSystem> open(const std::string& path = "/dev/kvm");

  /// A new, empty VM.
  Result<UniqueFd> create_vm() const;
  /// What KVM can offer a guest on this host, less what means nothing good in a guest.
  Result<std::vector<CpuidEntry>> supported_cpuid() const;
  /// The leaves of Hyper-V that it serves; empty where it does not say (before Linux 5.11).
  Result<std::vector<CpuidEntry>> supported_hyperv() const;
  /// Bytes of the shared kvm_run area of each vCPU.
  std::size_t run_area_size() const { return run_area_size_; }
  unsigned max_vcpus() const { return max_vcpus_; }
  unsigned max_memory_slots() const { return max_slots_; }

 private:
  explicit KvmSystem(UniqueFd fd) : fd_(std::move(fd)) {}
  Status check();
  int capability(int number) const;
  Result<std::vector<CpuidEntry>> read_cpuid(unsigned long request) const;

  UniqueFd fd_;
  std::size_t run_area_size_ = 0;
  unsigned max_vcpus_ = 0;
  unsigned max_slots_ = 0;
};

}  // namespace gpuvm
