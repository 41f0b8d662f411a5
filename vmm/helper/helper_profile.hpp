// SPDX-License-Identifier: Apache-2.0
// HelperProfile: what a program that runs for a guest may: a row for each of the three that gpuvm
// starts, each item with its reason and where that is known from. docs/security-inside.md has the
// table as text.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/sandbox/filter_row.hpp"
#include "vmm/sandbox/privileges.hpp"

namespace gpuvm {

/// A decision, why it is so, and the source of that: a manual, or what the program was seen to do.
template <class T>
struct Reasoned {
  T value = {};
  const char* reason = "";
  const char* source = "";
};

/// What it sees of the host's files, where gpuvm is root.
enum class FileView : std::uint8_t {
  kHost,     ///< all of them, as the rights of its user allow
  kOwnTree,  ///< a tree of its own: programs and libraries read-only, its own files, its processes
  /// The same with all of /proc, for programs that make a sandbox of their own.
  kOwnTreeAndProc,
};

struct HelperProfile {
  std::string_view name;
  /// Whom it becomes where gpuvm is root: helper_user(), or root without most of what root may.
  Reasoned<bool> is_ordinary_user;
  /// The most that it may have. An ordinary user has of these what HelperConfinement asks for; root
  /// has them all.
  Reasoned<sandbox::Capabilities> capabilities;
  /// CLONE_NEW… of clone(2), where gpuvm is root; a new mount namespace comes with `files`.
  Reasoned<std::uint64_t> namespaces;
  Reasoned<FileView> files;
  Reasoned<bool> has_landlock;
  /// An allow list of system calls; empty: all but refused_calls().
  Reasoned<std::span<const sandbox::Row>> calls;
  Reasoned<bool> may_exec;      ///< another program, once it runs
  Reasoned<rlim_t> open_files;  ///< RLIMIT_NOFILE; 0: as gpuvm's
  Reasoned<rlim_t> threads;     ///< RLIMIT_NPROC, of an ordinary user; 0: as gpuvm's
};

/// qemu-storage-daemon, one disk.
const HelperProfile& storage_daemon_profile();
/// virtiofsd, one shared folder.
const HelperProfile& virtiofsd_profile();
/// passt, one network.
const HelperProfile& passt_profile();

/// The allow list of qemu-storage-daemon.
std::span<const sandbox::Row> storage_daemon_calls();

}  // namespace gpuvm
