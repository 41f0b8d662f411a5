// SPDX-License-Identifier: Apache-2.0
// HelperConfinement: what a program that runs for a guest is confined to. PreparedConfinement is
// made before fork(2) and entered in the child, between fork and execve(2), with system calls
// alone. What this kernel or our rights do not allow is left out, and told: Layers. User,
// capabilities, no_new_privs and filters are not: without them the program is not started.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/helper/helper_profile.hpp"
#include "vmm/helper/own_tree.hpp"
#include "vmm/helper/refusal_filter.hpp"
#include "vmm/sandbox/confine.hpp"
#include "vmm/sandbox/filter.hpp"
#include "vmm/sandbox/landlock.hpp"
#include "vmm/sandbox/privileges.hpp"

namespace gpuvm {

struct HelperConfinement {
  const HelperProfile* profile = nullptr;
  /// Its own files and folders, besides programs and libraries. A path below /proc/self/fd is
  /// ours, and stands for the file behind it.
  std::vector<sandbox::PathRule> paths = {};
  /// Of the profile's what it needs this time; of no meaning for one that runs as root.
  sandbox::Capabilities capabilities = 0;
  /// Whom an ordinary user is; empty: helper_user().
  std::string user = {};
  /// limit_files() is to change its limits, for which a program of another user takes
  /// CAP_SYS_RESOURCE. Root without it (in a container) has it stay root, without capabilities.
  bool is_limited_later = false;
};

/// What the configuration says of all programs that run for its guest.
struct HelperRules {
  bool is_confined = true;  ///< false: they have gpuvm's rights, as far as they do not give them up
  std::string user = {};    ///< whom ordinary ones become; empty: helper_user()
};

/// The user "gpuvm-helper", where the host has one; else "nobody". Errors: kHost: it has neither.
Result<sandbox::Identity> helper_user();

/// Whom an ordinary helper becomes: `user` by name or number, or helper_user() where that is empty.
/// Nothing where gpuvm lacks the right to that, and it stays who gpuvm is; `is_limited_later` as in
/// HelperConfinement. Errors: kHost, kConfig: there is no such user.
Result<std::optional<sandbox::Identity>> identity_for_helper(const std::string& user,
                                                             bool is_limited_later);

/// Whether this user can open the file behind the descriptor again, by its owner and mode alone.
bool can_reopen(int fd, const sandbox::Identity& user, bool is_writable);

class PreparedConfinement {
 public:
  enum class Layer : std::uint8_t {
    kUser,
    kCapabilities,
    kNoNewPrivileges,
    kFiles,
    kNetwork,
    kIpc,
    kHostName,
    kProcesses,
    kLandlock,
    kSystemCalls,
    kLimits,
    kCount,
  };
  /// Of each layer: 0 in force, kNotWanted, or errno. Of fixed size, for the pipe.
  static constexpr std::int16_t kNotWanted = -1;
  struct Outcome {
    std::array<std::int16_t, static_cast<std::size_t>(Layer::kCount)> layers{};
    std::int16_t& operator[](Layer layer) { return layers[static_cast<std::size_t>(layer)]; }
  };

  /// `program`: its path. Errors: kHost: no user for it; kInternal: filters cannot be made.
  static Result<PreparedConfinement> create(const HelperConfinement& confinement,
                                            const std::string& program);

  // In the child, in this order. Async-signal-safe.
  /// Namespaces, its own tree, Landlock; all of it as the child of fork() still is. `read_only`:
  /// a folder that it must not be able to write to whatever else comes, or null. False with errno:
  /// it must not be started.
  bool separate(const char* read_only, bool has_new_processes, Outcome& outcome) const noexcept;
  /// Limits, then user, capabilities and no_new_privs. False with errno: it must not be started.
  bool give_up(Outcome& outcome) const noexcept;
  /// The filters. Nothing but write(2), execve_with_key() and _exit(2) come afterwards. False with
  /// errno: it must not be started; a kernel without seccomp is only told.
  bool filter(Outcome& outcome) const noexcept;
  /// Returns where it fails, with errno.
  void execute(const char* path, char* const* arguments) const noexcept;

  /// Of CLONE_NEW… what the child is to be made with, not by unshare(2).
  std::uint64_t clone_flags() const;
  /// What the child has told.
  sandbox::Layers layers_of(const Outcome& outcome) const;

 private:
  PreparedConfinement() = default;
  bool enter_files(const char* read_only, Outcome& outcome) const noexcept;
  void set_limits(Outcome& outcome) const noexcept;
  std::string missing_text(Layer layer, int error) const;
  bool change_user(Outcome& outcome) const noexcept;

  const HelperProfile* profile_ = nullptr;
  bool is_root_ = false;  ///< who starts it
  std::optional<sandbox::Identity> identity_;
  sandbox::Capabilities capabilities_ = 0;
  std::optional<OwnTree> tree_;
  std::string no_tree_;  ///< why not
  std::optional<sandbox::LandlockRules> landlock_;
  std::string no_landlock_;
  ExecKey key_;
  bool has_seccomp_ = false;  ///< the kernel
  std::vector<sandbox::Filter> filters_;
};

/// In a mount namespace of its own, whose changes nobody else sees: the folder, and what is mounted
/// below, becomes read-only. False with errno. Async-signal-safe. Linux 5.12.
bool mount_read_only(const char* folder) noexcept;

}  // namespace gpuvm
