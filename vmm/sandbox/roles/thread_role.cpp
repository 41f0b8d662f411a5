// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

std::string_view to_string(ThreadRole role) {
  switch (role) {
    case ThreadRole::kControl:
      return "control";
    case ThreadRole::kWorker:
      return "worker";
    case ThreadRole::kVcpu:
      return "vcpu";
    case ThreadRole::kQueue:
      return "queue";
    case ThreadRole::kReader:
      return "reader";
    case ThreadRole::kWatcher:
      return "watcher";
    case ThreadRole::kWriter:
      return "writer";
    case ThreadRole::kWords:
      return "words";
    case ThreadRole::kInspector:
      return "inspector";
    case ThreadRole::kMemory:
      return "memory";
    case ThreadRole::kVariables:
      return "variables";
    case ThreadRole::kJob:
      return "job";
  }
  return "unknown";
}

}  // namespace gpuvm::sandbox
