// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/trap_handler.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1  // si_code of SIGSYS (sigaction(2))
#endif

// A system call whose instruction log_filter() knows by its address.
extern "C" long gpuvm_sandbox_call(long number, std::uint64_t a, std::uint64_t b, std::uint64_t c,
                                   std::uint64_t d, std::uint64_t e, std::uint64_t f);
extern "C" const char gpuvm_sandbox_call_end[];
__asm__(
    ".text\n"
    ".globl gpuvm_sandbox_call\n"
    ".hidden gpuvm_sandbox_call\n"
    ".type gpuvm_sandbox_call, @function\n"
    "gpuvm_sandbox_call:\n"
    "  endbr64\n"
    "  movq %rdi, %rax\n"
    "  movq %rsi, %rdi\n"
    "  movq %rdx, %rsi\n"
    "  movq %rcx, %rdx\n"
    "  movq %r8, %r10\n"
    "  movq %r9, %r8\n"
    "  movq 8(%rsp), %r9\n"
    "  syscall\n"
    ".globl gpuvm_sandbox_call_end\n"
    ".hidden gpuvm_sandbox_call_end\n"
    "gpuvm_sandbox_call_end:\n"
    "  ret\n"
    ".size gpuvm_sandbox_call, .-gpuvm_sandbox_call\n");

namespace gpuvm::sandbox {
namespace {

using Arguments = std::array<std::uint64_t, 6>;

/// Initial-exec storage of the program: a handler may read it.
struct ThreadIdentity {
  bool has_role = false;
  ThreadRole role = ThreadRole::kWorker;
  std::array<char, kThreadName> name{};
};
thread_local ThreadIdentity identity;

/// The handler has no other way to its setup than a name that the whole file sees.
const TrapSetup* handler_setup = nullptr;

/// A line without fmt and without memory.
class HandlerLine {
 public:
  HandlerLine& text(std::string_view more) {
    const std::size_t taken = std::min(more.size(), bytes_.size() - used_);
    std::memcpy(bytes_.data() + used_, more.data(), taken);
    used_ += taken;
    return *this;
  }
  HandlerLine& number(long value) {
    std::array<char, 20> digits{};
    std::size_t at = digits.size();
    auto rest = static_cast<unsigned long>(value < 0 ? 0 : value);
    do {
      digits[--at] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    return text({digits.data() + at, digits.size() - at});
  }
  void write() const {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, bytes_.data(), used_);
  }

 private:
  std::array<char, 200> bytes_{};
  std::size_t used_ = 0;
};

std::string_view handler_thread_name() {
  return {identity.name.data(), ::strnlen(identity.name.data(), identity.name.size())};
}

/// True: a row of the role is about it.
bool count_use(const TrapSetup& setup, ThreadRole role, long number, const Arguments& arguments) {
  const auto& rows = setup.rows[index_of(role)];
  for (std::size_t i = 0; i < rows.size() && i < TrapNotes::kRows; ++i) {
    if (rows[i].matches(number, arguments)) {
      setup.notes->used[index_of(role)][i].fetch_add(1, std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

/// A thread that has its filter from the one that made it may be a worker's or the memory's.
void log_call(const TrapSetup& setup, long number, const Arguments& arguments) {
  if (count_use(setup, identity.role, number, arguments) ||
      (!identity.has_role && count_use(setup, ThreadRole::kMemory, number, arguments)) ||
      !setup.notes->add_unlisted(identity.role, number, arguments[1]) || !setup.writes_line) {
    return;
  }
  HandlerLine line;
  line.text("gpuvm: sandbox: thread ").text(handler_thread_name());
  line.text(" makes a call that the list of its role, ").text(to_string(identity.role));
  line.text(", lacks: ").text(setup.names.of(number)).text(" (").number(number).text(")\n");
  line.write();
}

/// SIGSYS must never be blocked, and the mask of the thread comes back when the handler ends: so
/// the new mask is put where the kernel takes it from.
long change_mask(const Arguments& arguments, ucontext_t& context) {
  constexpr std::size_t kMaskBytes = 8;
  std::uint64_t wanted = 0;
  const auto* given = reinterpret_cast<const std::uint64_t*>(arguments[1]);
  if (given != nullptr) {
    wanted = *given;
    if (arguments[0] != SIG_UNBLOCK) {
      wanted &= ~(std::uint64_t{1} << (SIGSYS - 1));
    }
  }
  const auto at = given == nullptr ? 0 : reinterpret_cast<std::uint64_t>(&wanted);
  const long result =
      gpuvm_sandbox_call(SYS_rt_sigprocmask, arguments[0], at, arguments[2], kMaskBytes, 0, 0);
  std::uint64_t now = 0;
  gpuvm_sandbox_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, reinterpret_cast<std::uint64_t>(&now),
                     kMaskBytes, 0, 0);
  std::memcpy(&context.uc_sigmask, &now, kMaskBytes);
  return result;
}

/// As the kernel has it (Linux, include/linux/signal_types.h, struct sigaction).
struct KernelAction {
  std::uint64_t handler = 0;
  std::uint64_t flags = 0;
  std::uint64_t restorer = 0;
  std::uint64_t mask = 0;
};

/// Other handlers leave SIGSYS unblocked, too: a library's blocks all it can, and then writes.
long change_action(const Arguments& a) {
  KernelAction wanted;
  std::uint64_t at = a[1];
  if (at != 0) {
    wanted = *reinterpret_cast<const KernelAction*>(at);
    wanted.mask &= ~(std::uint64_t{1} << (SIGSYS - 1));
    at = reinterpret_cast<std::uint64_t>(&wanted);
  }
  return a[0] == SIGSYS ? 0 : gpuvm_sandbox_call(SYS_rt_sigaction, a[0], at, a[2], a[3], 0, 0);
}

long carry_out(long number, const Arguments& a, ucontext_t& context) {
  if (number == SYS_rt_sigprocmask) {
    return change_mask(a, context);
  }
  if (number == SYS_rt_sigaction) {
    return change_action(a);
  }
  return gpuvm_sandbox_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void handle_trap(int, siginfo_t* info, void* raw) {
  const int error = errno;
  const TrapSetup* const setup = handler_setup;
  auto& context = *static_cast<ucontext_t*>(raw);
  auto& registers = context.uc_mcontext.gregs;
  if (setup == nullptr || info->si_code != SYS_SECCOMP) {
    return;  // sent by somebody: nothing has been refused
  }
  const long number = info->si_syscall;
  Arguments arguments{};
  constexpr std::array kArgumentRegisters{REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    arguments[i] = static_cast<std::uint64_t>(registers[kArgumentRegisters[i]]);
  }
  if (setup->logs) {
    log_call(*setup, number, arguments);
    registers[REG_RAX] = carry_out(number, arguments, context);
  } else {
    tell_violation(*setup, identity.role, number, arguments[1], 0);
    registers[REG_RAX] = -EPERM;
  }
  errno = error;
}

sock_filter statement(unsigned code, std::uint32_t operand) {
  return {.code = static_cast<std::uint16_t>(code), .jt = 0, .jf = 0, .k = operand};
}
sock_filter jump_if(std::uint32_t value, std::size_t then, std::size_t otherwise) {
  return {.code = BPF_JMP | BPF_JEQ | BPF_K,
          .jt = static_cast<std::uint8_t>(then),
          .jf = static_cast<std::uint8_t>(otherwise),
          .k = value};
}

}  // namespace

Status install_trap_handler(const TrapSetup& setup) {
  handler_setup = &setup;
  struct sigaction action {};
  action.sa_sigaction = handle_trap;
  // Another handler that runs meanwhile may make a call that traps, too.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set a handler for SIGSYS");
  }
  return {};
}

void unblock_trap_in_handlers() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL &&
        action.sa_handler != SIG_IGN && sigismember(&action.sa_mask, SIGSYS) == 1) {
      sigdelset(&action.sa_mask, SIGSYS);
      ::sigaction(number, &action, nullptr);
    }
  }
}

void set_thread_identity(ThreadRole role) {
  identity.has_role = true;
  identity.role = role;
  ::prctl(PR_GET_NAME, identity.name.data(), 0UL, 0UL, 0UL);
}

void set_thread_identity(ThreadRole role, std::string_view name) {
  identity.has_role = true;
  identity.role = role;
  identity.name.fill('\0');
  name.copy(identity.name.data(), identity.name.size() - 1);
}

std::optional<ThreadRole> thread_role() {
  return identity.has_role ? std::optional(identity.role) : std::nullopt;
}

void tell_violation(const TrapSetup& setup, ThreadRole role, long number, std::uint64_t argument,
                    int error) {
  setup.notes->add_violation(role, identity.name, number, argument, error);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto rung = ::write(setup.event, &one, sizeof one);
  if (!setup.writes_line || setup.notes->violations.load() > TrapNotes::kViolations) {
    return;
  }
  HandlerLine line;
  line.text("gpuvm: error: thread ").text(handler_thread_name());
  line.text(" (role ").text(to_string(role)).text(")");
  if (number < 0) {
    line.text(" cannot be confined: error ").number(error).text("\n");
  } else {
    line.text(" made the forbidden system call ").text(setup.names.of(number));
    line.text(" (").number(number).text(")\n");
  }
  line.write();
}

Filter log_filter() {
  constexpr std::array kDirect{SYS_rt_sigreturn, SYS_clone,    SYS_clone3, SYS_fork,      SYS_vfork,
                               SYS_execve,       SYS_execveat, SYS_exit,   SYS_exit_group};
  const auto end = reinterpret_cast<std::uint64_t>(gpuvm_sandbox_call_end);
  constexpr std::uint32_t kPointer = offsetof(seccomp_data, instruction_pointer);
  constexpr unsigned kLoad = BPF_LD | BPF_W | BPF_ABS;
  constexpr unsigned kReturn = BPF_RET | BPF_K;
  std::vector<sock_filter> code{
      statement(kLoad, offsetof(seccomp_data, arch)),       jump_if(AUDIT_ARCH_X86_64, 1, 0),
      statement(kReturn, SECCOMP_RET_KILL_PROCESS),         statement(kLoad, kPointer),
      jump_if(static_cast<std::uint32_t>(end), 0, 3),       statement(kLoad, kPointer + 4),
      jump_if(static_cast<std::uint32_t>(end >> 32), 0, 1), statement(kReturn, SECCOMP_RET_ALLOW),
      statement(kLoad, offsetof(seccomp_data, nr)),
  };
  for (std::size_t i = 0; i < kDirect.size(); ++i) {
    code.push_back(jump_if(static_cast<std::uint32_t>(kDirect[i]), kDirect.size() - i, 0));
  }
  code.push_back(statement(kReturn, SECCOMP_RET_TRAP));
  code.push_back(statement(kReturn, SECCOMP_RET_ALLOW));
  return Filter(std::move(code));
}

}  // namespace gpuvm::sandbox
