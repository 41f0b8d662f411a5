// SPDX-License-Identifier: Apache-2.0
// How tables of rows are written: one line a row. Of this room alone.
#pragma once

#include <sys/syscall.h>

#include <cstdint>

#include "vmm/sandbox/filter_row.hpp"

namespace gpuvm::sandbox {

/// A call whatever its arguments are.
constexpr Row call(long number, const char* name, const char* reason, Use use = Use::kAlways) {
  Row row;
  row.number = number;
  row.name = name;
  row.reason = reason;
  row.use = use;
  return row;
}

/// The same where an argument of 32 bits is so: what is above them the kernel does not look at.
constexpr Row where(Row row, std::uint8_t argument, std::uint32_t value,
                    std::uint32_t mask = ~std::uint32_t{0}) {
  row.conditions[row.condition_count] = {.argument = argument, .mask = mask, .value = value};
  ++row.condition_count;
  return row;
}

/// The same where an argument names this process.
constexpr Row where_own_process(Row row, std::uint8_t argument) {
  row = where(row, argument, 0);
  row.conditions[row.condition_count - 1U].is_own_process = true;
  return row;
}

constexpr Row control_call(std::uint32_t request, const char* name, const char* reason,
                           Use use = Use::kAlways) {
  constexpr std::uint8_t kRequest = 1;
  return where(call(SYS_ioctl, name, reason, use), kRequest, request);
}

constexpr Row refused(Row row, int error) {
  row.action = RowAction::kRefuseQuietly;
  row.refusal = error;
  return row;
}

}  // namespace gpuvm::sandbox
