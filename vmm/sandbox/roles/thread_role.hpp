// SPDX-License-Identifier: Apache-2.0
// ThreadRole: what a thread is for, which decides the system calls that it may make. Which threads
// there are is in docs/security-inside.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gpuvm::sandbox {

enum class ThreadRole : std::uint8_t {
  kControl,    ///< the control loop
  kWorker,     ///< the machine's worker, and what resets devices for a guest
  kVcpu,       ///< runs a virtual CPU
  kQueue,      ///< serves virtio queues
  kReader,     ///< reads what a vfio-user or vhost-user server sends
  kWatcher,    ///< watches a program that runs for the guest
  kWriter,     ///< writes a file for who must not wait
  kWords,      ///< hears the guest's word at vsock ports
  kInspector,  ///< looks at the machine for others
  kMemory,     ///< gives guest memory its pages and maps it for DMA
  kVariables,  ///< keeps the guest's EFI variables in their file
  kJob,        ///< watches a job's limits of time
};

inline constexpr std::array kAllRoles{
    ThreadRole::kControl,   ThreadRole::kWorker,  ThreadRole::kVcpu,      ThreadRole::kQueue,
    ThreadRole::kReader,    ThreadRole::kWatcher, ThreadRole::kWriter,    ThreadRole::kWords,
    ThreadRole::kInspector, ThreadRole::kMemory,  ThreadRole::kVariables, ThreadRole::kJob};

constexpr std::size_t index_of(ThreadRole role) {
  return static_cast<std::size_t>(role);
}

/// "vcpu": one word in small letters, as in messages, the log of calls and inspect.
std::string_view to_string(ThreadRole role);

}  // namespace gpuvm::sandbox
