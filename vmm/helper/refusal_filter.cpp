// SPDX-License-Identifier: Apache-2.0
// By hand, since libseccomp's filters in vmm/sandbox refuse what they do not list. Instructions:
// Linux Documentation/networking/filter.rst, userspace-api/seccomp_filter.rst.
#include "vmm/helper/refusal_filter.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace gpuvm {
namespace {

constexpr const char* kOthers = "other processes: their memory, files, secrets";
constexpr const char* kKernel = "the kernel's own workings, where its faults are found";
constexpr const char* kHostWide = "the whole host: its clock, disks, modules, power";
constexpr const char* kKeys = "keys of the kernel, which namespaces do not separate";

constexpr std::array kRefused = {
    RefusedCall{SYS_ptrace, "ptrace", kOthers},
    RefusedCall{SYS_process_vm_readv, "process_vm_readv", kOthers},
    RefusedCall{SYS_process_vm_writev, "process_vm_writev", kOthers},
    RefusedCall{SYS_process_madvise, "process_madvise", kOthers},
    RefusedCall{SYS_pidfd_getfd, "pidfd_getfd", kOthers},
    RefusedCall{SYS_kcmp, "kcmp", kOthers},
    RefusedCall{SYS_setns, "setns", "namespaces of others"},
    RefusedCall{SYS_open_by_handle_at, "open_by_handle_at", "files past every folder's rights"},
    RefusedCall{SYS_bpf, "bpf", kKernel},
    RefusedCall{SYS_perf_event_open, "perf_event_open", kKernel},
    RefusedCall{SYS_userfaultfd, "userfaultfd", "a help for exploits; migration alone needs it"},
    RefusedCall{SYS_io_uring_setup, "io_uring_setup", "what it does passes by filters", ENOSYS},
    RefusedCall{SYS_io_uring_enter, "io_uring_enter", "what it does passes by filters", ENOSYS},
    RefusedCall{SYS_io_uring_register, "io_uring_register", "what it does passes by filters",
                ENOSYS},
    RefusedCall{SYS_fanotify_init, "fanotify_init", kKernel},
    RefusedCall{SYS_lookup_dcookie, "lookup_dcookie", kKernel},
    RefusedCall{SYS_modify_ldt, "modify_ldt", kKernel},
    RefusedCall{SYS_personality, "personality", "less random addresses"},
    RefusedCall{SYS_migrate_pages, "migrate_pages", kOthers},
    RefusedCall{SYS_move_pages, "move_pages", kOthers},
    RefusedCall{SYS_syslog, "syslog", "the kernel's log, with addresses in it"},
    RefusedCall{SYS_add_key, "add_key", kKeys},
    RefusedCall{SYS_request_key, "request_key", kKeys},
    RefusedCall{SYS_keyctl, "keyctl", kKeys},
    RefusedCall{SYS_init_module, "init_module", kHostWide},
    RefusedCall{SYS_finit_module, "finit_module", kHostWide},
    RefusedCall{SYS_delete_module, "delete_module", kHostWide},
    RefusedCall{SYS_kexec_load, "kexec_load", kHostWide},
    RefusedCall{SYS_kexec_file_load, "kexec_file_load", kHostWide},
    RefusedCall{SYS_reboot, "reboot", kHostWide},
    RefusedCall{SYS_swapon, "swapon", kHostWide},
    RefusedCall{SYS_swapoff, "swapoff", kHostWide},
    RefusedCall{SYS_acct, "acct", kHostWide},
    RefusedCall{SYS_quotactl, "quotactl", kHostWide},
    RefusedCall{SYS_iopl, "iopl", kHostWide},
    RefusedCall{SYS_ioperm, "ioperm", kHostWide},
    RefusedCall{SYS_settimeofday, "settimeofday", kHostWide},
    RefusedCall{SYS_clock_settime, "clock_settime", kHostWide},
    RefusedCall{SYS_clock_adjtime, "clock_adjtime", kHostWide},
    RefusedCall{SYS_adjtimex, "adjtimex", kHostWide},
    RefusedCall{SYS_sethostname, "sethostname", kHostWide},
    RefusedCall{SYS_setdomainname, "setdomainname", kHostWide},
    RefusedCall{SYS_vhangup, "vhangup", kHostWide},
};

constexpr std::uint32_t kX32Bit = 0x40000000;
constexpr std::uint32_t kDenied = SECCOMP_RET_ERRNO | EPERM;

/// Writes instructions; jumps are over the next few only.
class Writer {
 public:
  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void load_number() { load(offsetof(seccomp_data, nr)); }
  /// Half of an argument: the low one is first in memory.
  void load_argument(unsigned number, bool is_high) {
    load(offsetof(seccomp_data, args) + number * 8U + (is_high ? 4U : 0U));
  }
  void keep_bits(std::uint32_t mask) { code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask)); }
  void end_with(std::uint32_t result) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, result)); }
  /// Where the loaded value is not `value`, the next `count` instructions are left out.
  void skip_unless(std::uint32_t value, std::uint8_t count) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count));
  }
  void skip_if(std::uint32_t value, std::uint8_t count) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, count, 0));
  }
  void skip_below(std::uint32_t value, std::uint8_t count) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, 0, count));
  }
  std::vector<sock_filter> take() { return std::move(code_); }

 private:
  std::vector<sock_filter> code_;
};

constexpr std::uint32_t number_of_call(long number) {
  return static_cast<std::uint32_t>(number);
}

void write_refusal(Writer& writer, long number, int error) {
  writer.skip_unless(number_of_call(number), 1);
  writer.end_with(SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error));
}

/// Fails where all bits of `mask` are in its protection, the third argument.
void write_protection(Writer& writer, long number, std::uint32_t mask) {
  writer.skip_unless(number_of_call(number), 5);
  writer.load_argument(2, false);
  writer.keep_bits(mask);
  writer.skip_unless(mask, 1);
  writer.end_with(kDenied);
  writer.end_with(SECCOMP_RET_ALLOW);
}

/// The two numbers, a half after the other.
void write_exec(Writer& writer, const ExecKey& key) {
  constexpr unsigned kHalves = 4;
  constexpr unsigned kFirstSpare = 3;  // behind path, arguments, environment
  constexpr std::uint8_t kPerHalf = 3;
  write_refusal(writer, SYS_execveat, EPERM);
  writer.skip_unless(number_of_call(SYS_execve), kHalves * kPerHalf + 1);
  for (unsigned half = 0; half < kHalves; ++half) {
    const std::uint64_t number = half < 2 ? key.first : key.second;
    const bool is_high = half % 2 != 0;
    writer.load_argument(kFirstSpare + half / 2, is_high);
    writer.skip_if(static_cast<std::uint32_t>(is_high ? number >> 32 : number), 1);
    writer.end_with(kDenied);
  }
  writer.end_with(SECCOMP_RET_ALLOW);
}

}  // namespace

std::span<const RefusedCall> refused_calls() {
  return kRefused;
}

Result<ExecKey> ExecKey::create() {
  ExecKey key;
  if (::getrandom(&key, sizeof key, 0) != sizeof key) {
    return fail_errno(ErrorKind::kHost, "The kernel gives no random numbers");
  }
  return key;
}

std::vector<sock_filter> refusal_filter(std::span<const RefusedCall> calls,
                                        const std::optional<ExecKey>& key) {
  Writer writer;
  writer.load(offsetof(seccomp_data, arch));
  writer.skip_if(AUDIT_ARCH_X86_64, 1);
  writer.end_with(SECCOMP_RET_KILL_PROCESS);
  writer.load_number();
  writer.skip_below(kX32Bit, 1);
  writer.end_with(SECCOMP_RET_ERRNO | ENOSYS);
  for (const RefusedCall& call : calls) {
    write_refusal(writer, call.number, call.error);
  }
  write_protection(writer, SYS_mmap, PROT_WRITE | PROT_EXEC);
  write_protection(writer, SYS_mprotect, PROT_EXEC);
  write_protection(writer, SYS_pkey_mprotect, PROT_EXEC);
  if (key) {
    write_exec(writer, *key);
  }
  writer.end_with(SECCOMP_RET_ALLOW);
  return writer.take();
}

}  // namespace gpuvm
