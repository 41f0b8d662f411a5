// SPDX-License-Identifier: Apache-2.0
// The only file with <seccomp.h>, but for roles/call_names.cpp.
#include "vmm/sandbox/filter.hpp"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "vmm/base/unique_fd.hpp"
#include "vmm/sandbox/privileges.hpp"

namespace gpuvm::sandbox {
namespace {

struct ReleaseContext {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ReleaseContext>;

std::uint32_t action_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTrap:
      return SCMP_ACT_TRAP;
    case Refusal::kKillProcess:
      return SCMP_ACT_KILL_PROCESS;
    case Refusal::kDenied:
      break;
  }
  return SCMP_ACT_ERRNO(EPERM);
}

std::uint32_t action_of(const Row& row) {
  return row.action == RowAction::kAllow ? SCMP_ACT_ALLOW
                                         : SCMP_ACT_ERRNO(static_cast<std::uint32_t>(row.refusal));
}

/// A row that allows the call whatever its arguments are: others of the call say nothing more, and
/// libseccomp wants no two answers for one call.
bool is_covered(const Row& row, std::span<const Row> rows) {
  return std::any_of(rows.begin(), rows.end(), [&row](const Row& other) {
    return &other != &row && other.number == row.number && other.condition_count == 0 &&
           other.action == RowAction::kAllow &&
           (row.condition_count > 0 || row.action != RowAction::kAllow || &other < &row);
  });
}

Status add_row(void* context, const Row& row) {
  std::array<scmp_arg_cmp, Row::kMostConditions> conditions{};
  unsigned count = 0;
  for (const ArgumentRule& condition : row.only()) {
    conditions.at(count) = {.arg = condition.argument,
                            .op = SCMP_CMP_MASKED_EQ,
                            .datum_a = condition.mask,
                            .datum_b = condition.value};
    ++count;
  }
  const int result = seccomp_rule_add_array(context, action_of(row), static_cast<int>(row.number),
                                            count, conditions.data());
  if (result != 0 && result != -EEXIST) {
    return fail_errno(ErrorKind::kInternal, fmt::format("libseccomp takes no row for {}", row.name),
                      -result);
  }
  return {};
}

/// libseccomp writes instructions to a file only.
Result<std::vector<sock_filter>> instructions_of(void* context) {
  const UniqueFd file(::memfd_create("gpuvm-filter", MFD_CLOEXEC));
  if (!file) {
    return fail_errno(ErrorKind::kHost, "Cannot make a file in memory for a filter");
  }
  if (const int result = seccomp_export_bpf(context, file.get()); result != 0) {
    return fail_errno(ErrorKind::kInternal, "libseccomp cannot make a filter", -result);
  }
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> code(static_cast<std::size_t>(std::max<off_t>(size, 0)) /
                                sizeof(sock_filter));
  const std::size_t bytes = code.size() * sizeof(sock_filter);
  if (code.empty() || ::pread(file.get(), code.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    return fail_errno(ErrorKind::kHost, "Cannot read back a filter");
  }
  if (code.size() > BPF_MAXINSNS) {
    return fail(ErrorKind::kInternal, "A filter has {} instructions, and the kernel takes {}",
                code.size(), BPF_MAXINSNS);
  }
  return code;
}

}  // namespace

Result<Filter> Filter::create(std::span<const Row> rows, Refusal refusal) {
  const Context context(seccomp_init(action_of(refusal)));
  if (!context) {
    return fail(ErrorKind::kHost, "libseccomp cannot begin a filter");
  }
  if (seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0) {
    return fail(ErrorKind::kInternal, "libseccomp knows no action for other architectures");
  }
  for (const Row& row : rows) {
    if (!is_covered(row, rows)) {
      TRY(add_row(context.get(), row));
    }
  }
  return Filter(TRY(instructions_of(context.get())));
}

int Filter::install() const noexcept {
  if (const int error = set_no_new_privileges(); error != 0) {
    return error;
  }
  // SAFETY: the kernel copies the instructions, and writes nothing.
  const sock_fprog program{.len = static_cast<unsigned short>(code_.size()),
                           .filter = const_cast<sock_filter*>(code_.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &program) == 0 ? 0 : errno;
}

Status check_seccomp() {
  for (const std::uint32_t action :
       {SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS}) {
    std::uint32_t wanted = action;
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &wanted) != 0) {
      return fail_errno(ErrorKind::kHost,
                        "This kernel has no seccomp filters that gpuvm can use (Linux 4.14, "
                        "CONFIG_SECCOMP_FILTER); sandbox.mode = \"off\" goes without");
    }
  }
  ::seccomp_api_get();
  return {};
}

}  // namespace gpuvm::sandbox
