// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/confinement.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace gpuvm {
namespace {

using sandbox::Capabilities;
using Layer = PreparedConfinement::Layer;

/// Namespaces that are a layer each. Mounts have another way.
struct NamespaceLayer {
  std::uint64_t flag;
  Layer layer;
};
constexpr std::array kNamespaces = {
    NamespaceLayer{CLONE_NEWNET, Layer::kNetwork},
    NamespaceLayer{CLONE_NEWIPC, Layer::kIpc},
    NamespaceLayer{CLONE_NEWUTS, Layer::kHostName},
};

constexpr std::array kLayerNames = {
    "user",  "capabilities",        "no_new_privs",      "files",    "network namespace",
    "ipc",   "host name namespace", "process namespace", "landlock", "seccomp",
    "limits"};
static_assert(kLayerNames.size() == static_cast<std::size_t>(Layer::kCount));

std::int16_t outcome_of(int error) noexcept {
  return static_cast<std::int16_t>(error);
}

/// What it has in its environment: nothing of ours, where there may be secrets.
constexpr std::array<const char*, 3> kEnvironment = {"PATH=/usr/bin:/bin", "LC_ALL=C", nullptr};

bool is_private_mounts() noexcept {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool remount_read_only(const char* folder) noexcept {
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  return ::mount(folder, folder, nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
         ::mount_setattr(AT_FDCWD, folder, AT_RECURSIVE, &read_only, sizeof read_only) == 0;
}

int set_limit_of(__rlimit_resource resource, rlim_t wanted) noexcept {
  const rlimit limit{.rlim_cur = wanted, .rlim_max = wanted};
  if (::setrlimit(resource, &limit) == 0) {
    return 0;
  }
  rlimit now{};  // above the hard limit, without the right to: what there is
  if (::getrlimit(resource, &now) != 0) {
    return errno;
  }
  now.rlim_cur = now.rlim_max = std::min(wanted, now.rlim_max);
  return ::setrlimit(resource, &now) == 0 ? 0 : errno;
}

/// Exactly these, and over execve(2): without a set-user-ID program that needs ambient ones.
int hand_on_capabilities(Capabilities wanted) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  for (unsigned i = 0; i < sets.size(); ++i) {
    const auto part = static_cast<std::uint32_t>(wanted >> (32 * i));
    sets[i] = {.effective = part, .permitted = part, .inheritable = part};
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) {
    return errno;
  }
  for (unsigned number = 0; number < 64; ++number) {
    if ((wanted & sandbox::capability(number)) != 0 &&
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0UL, 0UL) != 0) {
      return errno;
    }
  }
  return 0;
}

/// Without CAP_SETPCAP it fails and does no harm. What is to be inherited must stay in it.
void drop_bounding_set(Capabilities kept) noexcept {
  for (unsigned number = 0; number < 64; ++number) {
    if ((kept & sandbox::capability(number)) == 0 &&
        ::prctl(PR_CAPBSET_DROP, number, 0UL, 0UL, 0UL) != 0) {
      break;
    }
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
}

Result<std::vector<sandbox::Filter>> filters_of(const HelperProfile& profile, const ExecKey& key) {
  std::vector<sandbox::Filter> filters;
  const auto listed = profile.calls.value;
  // This one first: it allows the installation of the next.
  filters.emplace_back(refusal_filter(
      refused_calls(), profile.may_exec.value ? std::nullopt : std::optional<ExecKey>(key)));
  if (!listed.empty()) {
    filters.push_back(TRY(sandbox::Filter::create(listed, sandbox::Refusal::kDenied)));
  }
  return filters;
}

bool may_change_user(bool is_limited_later) {
  const Capabilities needed = sandbox::capability(CAP_SETUID) | sandbox::capability(CAP_SETGID) |
                              (is_limited_later ? sandbox::capability(CAP_SYS_RESOURCE) : 0);
  return (sandbox::own_capabilities() & needed) == needed;
}

std::string user_text(const sandbox::Identity& identity) {
  return fmt::format("{}, group {}", identity.user, identity.group);
}

}  // namespace

bool mount_read_only(const char* folder) noexcept {
  return is_private_mounts() && remount_read_only(folder);
}

Result<sandbox::Identity> helper_user() {
  for (const char* const name : {"gpuvm-helper", "nobody"}) {
    if (auto found = sandbox::find_identity(name, "")) {
      found->groups.clear();
      return found;
    }
  }
  return fail(ErrorKind::kHost,
              "This host has neither a user gpuvm-helper nor nobody for programs that run for "
              "guests: make one (useradd --system gpuvm-helper)");
}

Result<std::optional<sandbox::Identity>> identity_for_helper(const std::string& user,
                                                             bool is_limited_later) {
  std::optional<sandbox::Identity> identity;
  if (::geteuid() == 0 && may_change_user(is_limited_later)) {
    auto found = user.empty() ? helper_user() : sandbox::find_identity(user, "");
    if (!found && !user.empty()) {
      return fail(ErrorKind::kConfig,
                  "sandbox.helper_user names {}, and this host has no such user (getent passwd)",
                  user);
    }
    identity = TRY(std::move(found));
    identity->groups.clear();
  }
  return identity;
}

bool can_reopen(int fd, const sandbox::Identity& user, bool is_writable) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return false;
  }
  const mode_t wanted = is_writable ? 06 : 04;
  const unsigned shift = info.st_uid == user.user ? 6 : info.st_gid == user.group ? 3 : 0;
  return ((info.st_mode >> shift) & wanted) == wanted;
}

Result<PreparedConfinement> PreparedConfinement::create(const HelperConfinement& confinement,
                                                        const std::string& program) {
  const HelperProfile& profile = *confinement.profile;
  PreparedConfinement prepared;
  prepared.profile_ = &profile;
  prepared.is_root_ = ::geteuid() == 0;
  prepared.capabilities_ = profile.capabilities.value;
  if (profile.is_ordinary_user.value) {
    prepared.capabilities_ &= confinement.capabilities & sandbox::own_capabilities();
    prepared.identity_ = TRY(identity_for_helper(confinement.user, confinement.is_limited_later));
  }
  auto paths = program_paths(program);
  for (const auto& rule : confinement.paths) {
    paths.push_back(rule);
  }
  if (profile.has_landlock.value) {
    auto rules = sandbox::LandlockRules::create(paths);
    if (rules) {
      prepared.landlock_ = std::move(*rules);
    } else {
      prepared.no_landlock_ = rules.error().message();
    }
  }
  // A descriptor's file is where it is: nothing of it has to be in the tree.
  std::erase_if(paths, [](const auto& rule) { return rule.path.rfind("/proc/self/fd/", 0) == 0; });
  if (prepared.is_root_ && profile.files.value != FileView::kHost) {
    auto tree = OwnTree::create(paths, profile.files.value == FileView::kOwnTreeAndProc);
    if (tree) {
      prepared.tree_ = std::move(*tree);
    } else {
      prepared.no_tree_ = tree.error().message();
    }
  }
  prepared.has_seccomp_ = sandbox::check_seccomp().has_value();
  prepared.key_ = TRY(ExecKey::create());
  prepared.filters_ = TRY(filters_of(profile, prepared.key_));
  return prepared;
}

std::uint64_t PreparedConfinement::clone_flags() const {
  return is_root_ ? profile_->namespaces.value & CLONE_NEWPID : 0;
}

bool PreparedConfinement::separate(const char* read_only, bool has_new_processes,
                                   Outcome& outcome) const noexcept {
  outcome.layers.fill(kNotWanted);
  if ((profile_->namespaces.value & CLONE_NEWPID) != 0) {
    outcome[Layer::kProcesses] = outcome_of(has_new_processes ? 0 : EPERM);
  }
  for (const NamespaceLayer& one : kNamespaces) {
    if ((profile_->namespaces.value & one.flag) != 0) {
      const bool is_done = is_root_ && ::unshare(static_cast<int>(one.flag)) == 0;
      outcome[one.layer] = outcome_of(is_done ? 0 : is_root_ ? errno : EPERM);
    }
  }
  if (!enter_files(read_only, outcome)) {
    return false;
  }
  if (profile_->has_landlock.value) {
    outcome[Layer::kLandlock] = outcome_of(landlock_ ? landlock_->restrict_self() : ENOSYS);
  }
  return true;
}

bool PreparedConfinement::enter_files(const char* read_only, Outcome& outcome) const noexcept {
  bool is_stuck = false;
  if (profile_->files.value != FileView::kHost) {
    int error = is_root_ ? ENOTSUP : EPERM;
    if (tree_) {
      error = is_private_mounts() ? tree_->enter(is_stuck) : errno;
    }
    outcome[Layer::kFiles] = outcome_of(error);
    errno = error;
  }
  if (is_stuck) {
    return false;
  }
  return read_only == nullptr || mount_read_only(read_only);
}

void PreparedConfinement::set_limits(Outcome& outcome) const noexcept {
  int error = sandbox::set_limits(false);
  if (const rlim_t files = profile_->open_files.value; error == 0 && files != 0) {
    error = set_limit_of(RLIMIT_NOFILE, files);
  }
  // Of a user who has other processes, which count, it would be a limit of these.
  if (const rlim_t threads = profile_->threads.value; error == 0 && threads != 0 && identity_) {
    error = set_limit_of(RLIMIT_NPROC, threads);
  }
  outcome[Layer::kLimits] = outcome_of(error);
}

bool PreparedConfinement::change_user(Outcome& outcome) const noexcept {
  if (!identity_) {
    if (is_root_) {
      ::syscall(SYS_setgroups, 0UL, nullptr);
    }
    outcome[Layer::kUser] = outcome_of(is_root_ ? EPERM : 0);
    return true;
  }
  if (::prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) != 0) {
    return false;
  }
  const int error = sandbox::become(*identity_);
  outcome[Layer::kUser] = outcome_of(error);
  errno = error;
  return error == 0;
}

bool PreparedConfinement::give_up(Outcome& outcome) const noexcept {
  set_limits(outcome);
  int error = 0;
  if (!profile_->is_ordinary_user.value) {
    ::syscall(SYS_setgroups, 0UL, nullptr);
    error = sandbox::keep_capabilities(capabilities_);
  } else {
    drop_bounding_set(capabilities_);
    if (!change_user(outcome)) {
      return false;
    }
    error = hand_on_capabilities(capabilities_);
  }
  outcome[Layer::kCapabilities] = outcome_of(error);
  if (error == 0) {
    error = sandbox::set_no_new_privileges();
    outcome[Layer::kNoNewPrivileges] = outcome_of(error);
  }
  errno = error;
  return error == 0;
}

bool PreparedConfinement::filter(Outcome& outcome) const noexcept {
  int error = 0;
  for (const sandbox::Filter& filter : filters_) {
    const int failed = filter.install();
    error = failed != 0 ? failed : error;
  }
  outcome[Layer::kSystemCalls] = outcome_of(error);
  errno = error;
  return error == 0 || !has_seccomp_;
}

void PreparedConfinement::execute(const char* path, char* const* arguments) const noexcept {
  ::syscall(SYS_execve, path, arguments, kEnvironment.data(), key_.first, key_.second);
}

std::string PreparedConfinement::missing_text(Layer layer, int error) const {
  if (layer == Layer::kLandlock && !no_landlock_.empty()) {
    return no_landlock_;
  }
  if (layer == Layer::kFiles && !no_tree_.empty()) {
    return no_tree_;
  }
  if (layer == Layer::kUser) {
    return "gpuvm lacks a capability for that";
  }
  return !is_root_ && error == EPERM ? "gpuvm is not root" : std::generic_category().message(error);
}

sandbox::Layers PreparedConfinement::layers_of(const Outcome& outcome) const {
  sandbox::Layers told;
  for (std::size_t i = 0; i < outcome.layers.size(); ++i) {
    const auto layer = static_cast<Layer>(i);
    const std::int16_t error = outcome.layers[i];
    if (error == kNotWanted) {
      continue;
    }
    std::string detail;
    if (error != 0) {
      detail = missing_text(layer, error);
    } else if (layer == Layer::kUser) {
      detail = identity_ ? user_text(*identity_) : "gpuvm's own, not root";
    } else if (layer == Layer::kCapabilities) {
      detail = capabilities_ == 0 ? "none" : fmt::format("{:#x}", capabilities_);
    } else if (layer == Layer::kLandlock) {
      detail = fmt::format("ABI {}", landlock_->abi());
    } else if (layer == Layer::kSystemCalls) {
      detail = filters_.size() > 1 ? "an allow list" : "a list of what is refused";
    }
    told.all.push_back({kLayerNames[i], error == 0, std::move(detail)});
  }
  return told;
}

}  // namespace gpuvm
