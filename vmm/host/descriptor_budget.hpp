// SPDX-License-Identifier: Apache-2.0
// How many open files a guest may come to need, against how many this process may have. Each
// interrupt vector is one from the moment that the guest unmasks it: a limit that is too low would
// show when the guest has run for a while, and what then fails is anybody's.
#pragma once

#include <cstdint>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct DescriptorNeeds {
  std::uint64_t cpus = 0;
  std::uint64_t functions = 0;  ///< passed through
  std::uint64_t vectors = 0;    ///< MSI-X or MSI of all of them
  std::uint64_t queues = 0;     ///< of virtio devices
  std::uint64_t helpers = 0;    ///< programs that run for the guest
};

/// An upper bound, with room for clients of consoles and of the control socket.
std::uint64_t descriptors_for(const DescriptorNeeds& needs);

/// Whether so many fit into `limit`. Errors: kHost, with the cure.
Status check_descriptors(const DescriptorNeeds& needs, std::uint64_t limit);

/// RLIMIT_NOFILE, after the soft limit, which is for programs that use select(2), was raised to the
/// hard one. At the start of a process, before threads.
std::uint64_t raise_descriptor_limit();
/// As it is now.
std::uint64_t descriptor_limit();

}  // namespace gpuvm
