// SPDX-License-Identifier: Apache-2.0
// NetControl: the commands of a network device's control queue (VIRTIO 1.2, 5.1.6.5): how many
// pairs of queues are used. All others, and what makes no sense, are refused, as 5.1.6.5 has it.
// Missing: filters (RX, VLAN), changes of the address, announcements, offloads, hashes.
#pragma once

#include <cstdint>
#include <functional>

#include "devices/virtio/split_queue.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Not synchronised: one thread at a time.
class NetControl {
 public:
  /// Uses the first so many pairs from now on. Errors: the driver is told that it has failed.
  using UsePairs = std::function<Status(std::uint16_t pairs)>;
  NetControl(std::uint16_t most_pairs, UsePairs use_pairs)
      : most_pairs_(most_pairs), use_pairs_(std::move(use_pairs)) {}

  /// Carries out the command of a chain, and answers in it; how many bytes were written. Errors:
  /// kGuest: the chain has no room for an answer, or no command.
  Result<std::uint32_t> execute(DescriptorChain& chain) const;

 private:
  bool is_done(GuestBuffer& command) const;

  const std::uint16_t most_pairs_;
  const UsePairs use_pairs_;
};

}  // namespace gpuvm
