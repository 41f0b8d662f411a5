// SPDX-License-Identifier: Apache-2.0
// What the handler of SIGSYS notes: in memory that children share, without locks, of a bounded
// size. Every value may be written by a hostile thread of this process: whoever reads checks it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

constexpr std::size_t kThreadName = 16;  ///< TASK_COMM_LEN

struct ViolationNote {
  std::atomic<std::uint32_t> is_whole{0};  ///< written last
  std::uint32_t role = 0;
  std::int64_t number = 0;
  std::uint64_t argument = 0;
  std::int32_t error = 0;
  std::array<char, kThreadName> thread{};
};

/// A call that no row is about, of log mode.
struct UnlistedNote {
  std::atomic<std::uint64_t> key{0};  ///< role, number and the second argument, mixed; 0: free
  std::atomic<std::uint64_t> count{0};
  std::uint32_t role = 0;
  std::int64_t number = 0;
  std::uint64_t argument = 0;
};

struct TrapNotes {
  static constexpr std::size_t kViolations = 16;
  static constexpr std::size_t kUnlisted = 256;
  static constexpr std::size_t kRows = 160;  ///< of a role

  std::atomic<std::uint32_t> violations{0};
  std::array<ViolationNote, kViolations> violation{};
  std::array<UnlistedNote, kUnlisted> unlisted{};
  std::atomic<std::uint64_t> unlisted_lost{0};
  /// How often a call was made that a role's row is about.
  std::array<std::array<std::atomic<std::uint64_t>, kRows>, kAllRoles.size()> used{};
  std::array<std::atomic<std::uint32_t>, kAllRoles.size()> entered{};

  /// Async-signal-safe.
  void add_violation(ThreadRole role, const std::array<char, kThreadName>& thread, long number,
                     std::uint64_t argument, int error);
  /// Async-signal-safe. True: the first of its kind.
  bool add_unlisted(ThreadRole role, long number, std::uint64_t argument);
};

/// In pages of its own that are shared with children; null: no memory. Never given back: a thread
/// may note something at any time.
TrapNotes* make_trap_notes();

}  // namespace gpuvm::sandbox
