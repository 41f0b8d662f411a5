// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/vcpu.hpp"

#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "vmm/base/log.hpp"
#include "vmm/kvm/internal_error.hpp"
#include "vmm/kvm/kvm_uapi.hpp"
#include "vmm/kvm/vcpu_state.hpp"

namespace gpuvm {
namespace {

/// KVM would give 32; a guest touches each several times at boot, one exit each, and no error ever
/// comes through them.
constexpr std::uint64_t kMachineCheckBanks = 1;

// IA32_MTRR_DEF_TYPE (Intel SDM volume 3, 12.11.2.1; AMD's APM volume 2, 7.7.2, MTRRdefType).
constexpr std::uint32_t kMtrrDefaultType = 0x2ff;
constexpr std::uint64_t kMtrrEnable = 1U << 11;
constexpr std::uint64_t kMtrrWriteBack = 6;

/// Its bytes, where KVM tells them; sizes come from the kernel and are still checked.
std::span<const std::uint8_t> failed_instruction(const kvm_run& run) {
  const auto& failure = run.emulation_failure;
  const bool has_bytes = failure.suberror == KVM_INTERNAL_ERROR_EMULATION && failure.ndata >= 3 &&
                         (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
  const std::span<const std::uint8_t> bytes(failure.insn_bytes);
  return bytes.first(has_bytes ? std::min<std::size_t>(failure.insn_size, bytes.size()) : 0);
}

}  // namespace

Result<std::unique_ptr<Vcpu>> Vcpu::create(int vm_fd, std::uint32_t index, std::uint32_t apic_id,
                                           std::size_t run_area_size) {
  UniqueFd fd(::ioctl(vm_fd, KVM_CREATE_VCPU, apic_id));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot create it");
  }
  auto area = TRY(MappedRegion::create({.fd = fd.get(), .size = run_area_size}));
  return std::unique_ptr<Vcpu>(new Vcpu(std::move(fd), index, std::move(area)));
}

Vcpu::Vcpu(UniqueFd fd, std::uint32_t index, MappedRegion run_area)
    : fd_(std::move(fd)),
      statistics_(open_kvm_statistics(fd_.get())),
      index_(index),
      run_area_(std::move(run_area)),
      run_(reinterpret_cast<kvm_run*>(run_area_.data())) {}

Status Vcpu::set_cpuid(std::span<const CpuidEntry> entries) {
  std::vector<std::byte> buffer(sizeof(kvm_uapi::CpuidHead) +
                                entries.size() * sizeof(kvm_cpuid_entry2));
  kvm_uapi::CpuidHead head{};
  head.nent = static_cast<std::uint32_t>(entries.size());
  std::memcpy(buffer.data(), &head, sizeof head);
  auto* out = buffer.data() + sizeof head;
  for (const auto& entry : entries) {
    kvm_cpuid_entry2 raw{};
    raw.function = entry.leaf;
    raw.index = entry.subleaf;
    raw.flags = entry.indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    raw.eax = entry.registers[0];
    raw.ebx = entry.registers[1];
    raw.ecx = entry.registers[2];
    raw.edx = entry.registers[3];
    std::memcpy(out, &raw, sizeof raw);
    out += sizeof raw;
  }
  if (::ioctl(fd_.get(), kvm_uapi::kSetCpuid, buffer.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set its CPUID");
  }
  return {};
}

Status Vcpu::limit_machine_check_banks() {
  std::uint64_t capabilities = kMachineCheckBanks;
  if (::ioctl(fd_.get(), KVM_X86_SETUP_MCE, &capabilities) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set its machine check banks");
  }
  return {};
}

Status Vcpu::enable_memory_types() {
  kvm_uapi::OneMsr request{};
  request.nmsrs = 1;
  request.entry.index = kMtrrDefaultType;
  request.entry.data = kMtrrEnable | kMtrrWriteBack;
  // The answer is how many were set.
  const int set = ::ioctl(fd_.get(), kvm_uapi::kSetMsrs, &request);
  if (set == 1) {
    return {};
  }
  return fail_errno(ErrorKind::kHost, "Cannot switch its MTRRs on", set < 0 ? errno : EINVAL);
}

Result<std::uint64_t> Vcpu::read_msr(std::uint32_t index) const {
  kvm_uapi::OneMsr request{};
  request.nmsrs = 1;
  request.entry.index = index;
  const int read = ::ioctl(fd_.get(), kvm_uapi::kGetMsrs, &request);
  if (read == 1) {
    return std::uint64_t{request.entry.data};
  }
  return fail_errno(ErrorKind::kHost, fmt::format("Cannot read its MSR {:#x}", index),
                    read < 0 ? errno : EINVAL);
}

Status Vcpu::set_entry_state(const CpuEntryState& state) {
  return apply_entry_state(fd_.get(), state);
}

void Vcpu::kick() {
  // One byte that KVM reads before it enters the guest: the flag wins over a signal that comes too
  // early.
  std::atomic_ref<__u8>(run_->immediate_exit).store(1, std::memory_order_release);
}

void Vcpu::clear_kick() {
  std::atomic_ref<__u8>(run_->immediate_exit).store(0, std::memory_order_release);
}

/// Linux Documentation/virt/kvm/api.rst, KVM_KVMCLOCK_CTRL: the guest's soft lockup detector then
/// leaves the gap out. EINVAL: the guest has no kvmclock.
Status Vcpu::tell_of_pause() {
  if (::ioctl(fd_.get(), KVM_KVMCLOCK_CTRL, 0) != 0 && errno != EINVAL) {
    return fail_errno(ErrorKind::kHost, fmt::format("vCPU {} cannot be told of its pause", index_));
  }
  return {};
}

/// An access that a handler below has answered is finished by the next KVM_RUN, which with
/// immediate_exit does nothing else (api.rst, "kvm_run", after the exit reasons): so it is when
/// this returns.
VcpuEvent Vcpu::run(PortBus& ports, MmioBus& mmio) {
  for (;;) {
    if (::ioctl(fd_.get(), KVM_RUN, 0) != 0) {
      if (errno == EINTR) {
        if (std::atomic_ref<__u8>(run_->immediate_exit).load(std::memory_order_acquire) != 0) {
          return VcpuEvent::kInterrupted;
        }
        continue;
      }
      if (errno == EAGAIN) {  // an application processor that was not started yet
        continue;
      }
      const int error_number = errno;
      fail_run(error_number);
      return error_number == EFAULT ? VcpuEvent::kMemoryGone : VcpuEvent::kFailed;
    }
    VcpuEvent event{};
    if (!dispatch(ports, mmio, event)) {
      return event;
    }
  }
}

bool Vcpu::dispatch(PortBus& ports, MmioBus& mmio, VcpuEvent& event) {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      handle_port(ports);
      return true;
    case KVM_EXIT_MMIO:
      handle_mmio(mmio);
      return true;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return true;
    case KVM_EXIT_SHUTDOWN:
      event = VcpuEvent::kShutdown;
      return false;
    case KVM_EXIT_INTERNAL_ERROR:
      fail_run(0);
      event = VcpuEvent::kGivenUp;
      return false;
    default:
      fail_run(0);
      event = VcpuEvent::kFailed;
      return false;
  }
}

void Vcpu::handle_port(PortBus& ports) {
  port_exits_.fetch_add(1, std::memory_order_relaxed);
  const auto& io = run_->io;
  const std::size_t size = io.size;
  // data_offset, size and count come from the host's kernel; the area is still checked before it is
  // used.
  const auto area = run_area_.bytes();
  const std::uint64_t total = std::uint64_t{io.count} * size;
  if (io.data_offset > area.size() || total > area.size() - io.data_offset) {
    return;
  }
  auto data = area.subspan(io.data_offset, total);
  const bool input = io.direction == KVM_EXIT_IO_IN;
  for (; data.size() >= size && size > 0; data = data.subspan(size)) {
    if (input) {
      ports.read(IoPort(io.port), data.first(size));
    } else {
      ports.write(IoPort(io.port), data.first(size));
    }
  }
}

void Vcpu::handle_mmio(MmioBus& mmio) {
  mmio_exits_.fetch_add(1, std::memory_order_relaxed);
  auto& exit = run_->mmio;
  const std::size_t size = std::min<std::size_t>(exit.len, sizeof exit.data);
  const std::span<std::byte> data = std::as_writable_bytes(std::span(exit.data)).first(size);
  if (exit.is_write != 0) {
    mmio.write(GuestAddress(exit.phys_addr), data);
  } else {
    mmio.read(GuestAddress(exit.phys_addr), data);
  }
}

void Vcpu::fail_run(int error_number) {
  if (error_number == EFAULT) {
    failure_ = fmt::format(
        "vCPU {} touched memory that the host took away (a passed-through device was reset or is "
        "gone)",
        index_);
  } else if (error_number != 0) {
    failure_ = fmt::format("vCPU {} cannot run: {}", index_,
                           std::generic_category().message(error_number));
  } else if (run_->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
    failure_ =
        fmt::format("vCPU {}: {}", index_,
                    describe_internal_error(run_->internal.suberror, failed_instruction(*run_),
                                            describe_position(fd_.get())));
  } else if (run_->exit_reason == KVM_EXIT_FAIL_ENTRY) {
    failure_ = fmt::format("vCPU {}: the CPU refused the guest's state (reason {:#x})", index_,
                           run_->fail_entry.hardware_entry_failure_reason);
  } else {
    failure_ = fmt::format("vCPU {}: unexpected KVM exit {}", index_, run_->exit_reason);
  }
}

void Vcpu::inspect(InspectNode& node) const {
  node.field("port_exits", port_exits_.load());
  node.field("mmio_exits", mmio_exits_.load());
  read_kvm_statistics(statistics_, node);
}

}  // namespace gpuvm
