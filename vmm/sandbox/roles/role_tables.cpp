// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/role_tables.hpp"

#include <unistd.h>

#include "vmm/sandbox/roles/role_rows.hpp"

namespace gpuvm::sandbox {
namespace {

/// A worker makes threads, and does what a vCPU's thread does when it stops or resets devices.
std::vector<std::span<const Row>> tables_of(ThreadRole role) {
  switch (role) {
    case ThreadRole::kControl:
      return {control_rows()};
    case ThreadRole::kWorker:
      return {worker_rows(), device_rows(), vhost_rows(), thread_rows(), file_rows(), child_rows()};
    case ThreadRole::kVcpu:
      return {vcpu_rows(), device_rows(), vhost_rows()};
    case ThreadRole::kQueue:
      return {queue_rows()};
    case ThreadRole::kReader:
      return {reader_rows()};
    case ThreadRole::kWatcher:
      return {watcher_rows()};
    case ThreadRole::kWords:
      return {words_rows()};
    case ThreadRole::kInspector:
      return {inspector_rows()};
    case ThreadRole::kMemory:
      return {memory_rows(), thread_rows()};
    case ThreadRole::kVariables:
      return {variable_rows()};
    case ThreadRole::kWriter:
    case ThreadRole::kJob:
      break;
  }
  return {};
}

}  // namespace

std::vector<Row> all_rows(ThreadRole role, bool has_owner) {
  auto tables = tables_of(role);
  tables.push_back(common_rows());
  std::vector<Row> rows;
  for (const auto table : tables) {
    for (const Row& row : table) {
      if (has_owner && row.use == Use::kUntilOwner) {
        continue;
      }
      rows.push_back(row);
      for (ArgumentRule& condition : rows.back().conditions) {
        if (condition.is_own_process) {
          condition.value = static_cast<std::uint32_t>(::getpid());
        }
      }
    }
  }
  return rows;
}

bool opens_files(ThreadRole role, bool has_owner) {
  return !has_owner && (role == ThreadRole::kWorker || role == ThreadRole::kVariables);
}

}  // namespace gpuvm::sandbox
