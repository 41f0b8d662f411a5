// SPDX-License-Identifier: Apache-2.0
// Row: one line of an allow list of system calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gpuvm::sandbox {

/// Of one argument of a system call: (argument & mask) == value. Filters see the values of
/// registers, never what a pointer leads to (seccomp(2)).
struct ArgumentRule {
  std::uint8_t argument = 0;  ///< 0 to 5
  std::uint64_t mask = ~std::uint64_t{0};
  std::uint64_t value = 0;
  bool is_own_process = false;  ///< the value is the process's number, which all_rows() puts there
};

/// What becomes of a call that the row is about.
enum class RowAction : std::uint8_t {
  kAllow,
  /// It fails with the row's errno and nobody is told: for libraries that try and go on without.
  kRefuseQuietly,
};

/// Whether a run of the lab suite makes the call.
enum class Use : std::uint8_t {
  kAlways,      ///< it does; else the row is one too many
  kRare,        ///< it may not: what is needed for it is in the row's reason
  kUntilOwner,  ///< only while one process is owner and monitor; left out of the filter with an
                ///< owner
};

/// For any role, of one call: the rows that say so together are what is allowed of it.
struct Row {
  static constexpr std::size_t kMostConditions = 2;
  long number = -1;       ///< SYS_…, of x86-64
  const char* name = "";  ///< of the call, and in what case where there are conditions
  const char* reason = "";
  std::array<ArgumentRule, kMostConditions> conditions = {};
  std::uint8_t condition_count = 0;
  RowAction action = RowAction::kAllow;
  int refusal = 0;  ///< errno of kRefuseQuietly
  Use use = Use::kAlways;

  std::span<const ArgumentRule> only() const {
    return std::span(conditions).first(condition_count);
  }
  /// Whether the row is about a call with these six arguments. Async-signal-safe.
  bool matches(long call, std::span<const std::uint64_t, 6> arguments) const;
};

}  // namespace gpuvm::sandbox
