// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/privileges.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

namespace gpuvm::sandbox {
namespace {

using CapabilityData = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

/// Of the calling thread, whatever its number.
__user_cap_header_struct capability_header() {
  return {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
}

/// 63 is more than the kernel has; it says EINVAL from its last one on.
constexpr unsigned kMostCapabilities = 63;

std::optional<std::uint32_t> number_of(const std::string& text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  const bool is_one = error == std::errc{} && stop == end;
  return is_one ? std::optional(number) : std::nullopt;
}

Result<gid_t> find_group(const std::string& name) {
  if (const auto number = number_of(name)) {
    return static_cast<gid_t>(*number);
  }
  std::vector<char> text(64 << 10);
  struct group entry {};
  struct group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr) {
    return fail(ErrorKind::kConfig,
                "sandbox.group names {}, and this host has no such group (getent group)", name);
  }
  return entry.gr_gid;
}

/// Its number, its group and the groups that it is in.
Result<Identity> find_user(const std::string& name) {
  std::vector<char> text(64 << 10);
  struct passwd entry {};
  struct passwd* found = nullptr;
  const auto number = number_of(name);
  if (number) {
    ::getpwuid_r(*number, &entry, text.data(), text.size(), &found);
  } else {
    ::getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  }
  Identity identity;
  if (found == nullptr && number) {  // a number without a name is a user, too
    identity.user = *number;
    identity.group = *number;
    return identity;
  }
  if (found == nullptr) {
    return fail(ErrorKind::kConfig,
                "sandbox.user names {}, and this host has no such user (getent passwd)", name);
  }
  identity.user = entry.pw_uid;
  identity.group = entry.pw_gid;
  int count = 256;
  identity.groups.resize(static_cast<std::size_t>(count));
  if (::getgrouplist(entry.pw_name, entry.pw_gid, identity.groups.data(), &count) < 0) {
    return fail(ErrorKind::kConfig, "sandbox.user: {} is in more than 256 groups", name);
  }
  identity.groups.resize(static_cast<std::size_t>(count));
  return identity;
}

/// Hard and soft. 0 or errno.
int set_limit(__rlimit_resource resource, rlim_t most) {
  const rlimit exactly{.rlim_cur = most, .rlim_max = most};
  if (::setrlimit(resource, &exactly) == 0) {
    return 0;
  }
  rlimit now{};  // it is below already, and stays there
  if (::getrlimit(resource, &now) != 0) {
    return errno;
  }
  const rlim_t least = std::min(most, now.rlim_max);
  const rlimit wanted{.rlim_cur = least, .rlim_max = least};
  return ::setrlimit(resource, &wanted) == 0 ? 0 : errno;
}

}  // namespace

int keep_capabilities(Capabilities kept) noexcept {
  for (unsigned number = 0; number < kMostCapabilities; ++number) {
    if ((kept & capability(number)) == 0 && ::prctl(PR_CAPBSET_DROP, number, 0UL, 0UL, 0UL) != 0 &&
        errno == EINVAL) {
      break;
    }
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);  // Linux 4.3
  auto header = capability_header();
  CapabilityData sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) {
    return errno;
  }
  for (unsigned i = 0; i < sets.size(); ++i) {
    const auto part = static_cast<std::uint32_t>(kept >> (32 * i));
    sets[i].permitted &= part;
    sets[i].effective &= sets[i].permitted;
    sets[i].inheritable = 0;
  }
  header = capability_header();
  return ::syscall(SYS_capset, &header, sets.data()) == 0 ? 0 : errno;
}

int use_capabilities(Capabilities wanted) noexcept {
  auto header = capability_header();
  CapabilityData sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) {
    return errno;
  }
  for (unsigned i = 0; i < sets.size(); ++i) {
    sets[i].effective |= sets[i].permitted & static_cast<std::uint32_t>(wanted >> (32 * i));
  }
  header = capability_header();
  return ::syscall(SYS_capset, &header, sets.data()) == 0 ? 0 : errno;
}

Capabilities own_capabilities() noexcept {
  auto header = capability_header();
  CapabilityData sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) {
    return 0;
  }
  return Capabilities{sets[0].effective} | Capabilities{sets[1].effective} << 32;
}

Result<Identity> find_identity(const std::string& user, const std::string& group) {
  auto identity = TRY(find_user(user));
  if (!group.empty()) {
    identity.group = TRY(find_group(group));
  }
  return identity;
}

int become(const Identity& identity) noexcept {
  if (::syscall(SYS_setgroups, identity.groups.size(), identity.groups.data()) != 0 ||
      ::syscall(SYS_setresgid, identity.group, identity.group, identity.group) != 0 ||
      ::syscall(SYS_setresuid, identity.user, identity.user, identity.user) != 0) {
    return errno;
  }
  return 0;
}

int set_no_new_privileges() noexcept {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 ? 0 : errno;
}

int forbid_dumps() noexcept {
  return ::prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) == 0 ? 0 : errno;
}

void allow_usual_priority() noexcept {
  constexpr rlim_t kNiceOfZero = 20;  // as getrlimit(2) counts
  rlimit now{};
  if (::getrlimit(RLIMIT_NICE, &now) == 0 && now.rlim_max < kNiceOfZero) {
    const rlimit wanted{.rlim_cur = kNiceOfZero, .rlim_max = kNiceOfZero};
    static_cast<void>(::setrlimit(RLIMIT_NICE, &wanted));
  }
}

int forbid_core_files() noexcept {
  constexpr rlim_t kNone = 1;
  const rlimit wanted{.rlim_cur = kNone, .rlim_max = kNone};
  return ::setrlimit(RLIMIT_CORE, &wanted) == 0 ? 0 : set_limit(RLIMIT_CORE, kNone);
}

int set_limits(bool forbids_processes) noexcept {
  if (const int error = forbid_core_files(); error != 0) {
    return error;
  }
  for (const auto resource : {RLIMIT_MSGQUEUE, RLIMIT_RTPRIO}) {
    if (const int error = set_limit(resource, 0); error != 0) {
      return error;
    }
  }
  return forbids_processes ? set_limit(RLIMIT_NPROC, 0) : 0;
}

}  // namespace gpuvm::sandbox
