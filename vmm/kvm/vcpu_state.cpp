// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/vcpu_state.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <vector>

#include "vmm/kvm/kvm_uapi.hpp"

namespace gpuvm {
namespace {

/// KVM's statistics are small; anything else is not worth reading.
constexpr std::size_t kMaxStatistics = 256;
constexpr std::size_t kMaxNameSize = 128;

kvm_segment to_kvm(const SegmentState& state) {
  kvm_segment segment{};
  segment.base = state.base;
  segment.limit = state.limit;
  segment.selector = state.selector;
  segment.type = state.type;
  segment.present = state.present ? 1 : 0;
  segment.s = state.code_or_data ? 1 : 0;
  segment.l = state.long_mode ? 1 : 0;
  segment.db = state.default_32 ? 1 : 0;
  segment.g = state.four_kib_units ? 1 : 0;
  segment.dpl = state.privilege;
  return segment;
}

}  // namespace

Status apply_entry_state(int vcpu_fd, const CpuEntryState& state) {
  kvm_sregs system{};
  if (::ioctl(vcpu_fd, KVM_GET_SREGS, &system) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read the boot CPU's state");
  }
  system.cs = to_kvm(state.code);
  system.ds = system.es = system.fs = system.gs = system.ss = to_kvm(state.data);
  system.tr = to_kvm(state.task);
  system.gdt.base = state.gdt.base;
  system.gdt.limit = state.gdt.limit;
  system.idt.base = state.idt.base;
  system.idt.limit = state.idt.limit;
  system.cr0 = state.cr0;
  system.cr3 = state.cr3;
  system.cr4 = state.cr4;
  system.efer = state.efer;
  if (::ioctl(vcpu_fd, KVM_SET_SREGS, &system) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set the boot CPU's control registers");
  }
  kvm_regs general{};
  general.rip = state.rip;
  general.rsp = state.rsp;
  general.rsi = state.rsi;
  general.rflags = state.rflags;
  if (::ioctl(vcpu_fd, KVM_SET_REGS, &general) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set the boot CPU's registers");
  }
  return {};
}

std::string describe_position(int vcpu_fd) {
  kvm_regs general{};
  kvm_sregs system{};
  if (::ioctl(vcpu_fd, KVM_GET_REGS, &general) != 0 ||
      ::ioctl(vcpu_fd, KVM_GET_SREGS, &system) != 0) {
    return "an unknown position";
  }
  return fmt::format("rip {:#x}, cs {:#x}, cr0 {:#x}, cr3 {:#x}", general.rip, system.cs.selector,
                     system.cr0, system.cr3);
}

UniqueFd open_kvm_statistics(int vcpu_fd) {
  return UniqueFd(::ioctl(vcpu_fd, KVM_GET_STATS_FD, nullptr));
}

void read_kvm_statistics(const UniqueFd& fd, InspectNode& node) {
  kvm_stats_header head{};
  if (!fd || ::pread(fd.get(), &head, sizeof head, 0) != sizeof head ||
      head.num_desc > kMaxStatistics || head.name_size > kMaxNameSize) {
    return;
  }
  const std::size_t size = sizeof(kvm_uapi::StatisticsDescriptor) + head.name_size;
  std::vector<char> descriptors(size * head.num_desc);
  if (::pread(fd.get(), descriptors.data(), descriptors.size(), head.desc_offset) !=
      static_cast<ssize_t>(descriptors.size())) {
    return;
  }
  for (std::size_t i = 0; i < head.num_desc; ++i) {
    kvm_uapi::StatisticsDescriptor descriptor{};
    std::memcpy(&descriptor, descriptors.data() + i * size, sizeof descriptor);
    const char* text = descriptors.data() + i * size + sizeof descriptor;
    const std::string_view name(text, ::strnlen(text, head.name_size));
    std::uint64_t value = 0;
    if (name.ends_with("exits") && ::pread(fd.get(), &value, sizeof value,
                                           head.data_offset + descriptor.offset) == sizeof value) {
      node.field(name == "exits" ? "kvm_exits" : "kvm_" + std::string(name), value);
    }
  }
}

}  // namespace gpuvm
