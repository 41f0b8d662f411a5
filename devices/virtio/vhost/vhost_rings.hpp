// SPDX-License-Identifier: Apache-2.0
// VhostRings: virtqueues that the kernel serves (vhost, Linux include/uapi/linux/vhost.h): what all
// its devices have in common. What they do not (a network's tap, a vsock's address) is for who has
// one: control().
// Missing: a device IOTLB; the dirty log.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "devices/virtio/queue_backend.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// One thread at a time.
class VhostRings {
 public:
  /// A queue that is set up.
  struct Ring {
    unsigned index = 0;               ///< of the kernel's device
    std::span<std::byte> used_index;  ///< in guest memory
  };

  /// `vhost`: such as /dev/vhost-net, open for reading and writing. `name`: for messages. Errors:
  /// kHost.
  static Result<VhostRings> open(UniqueFd vhost, std::string name);

  /// Feature bits that the kernel can.
  std::uint64_t supported() const { return supported_; }
  /// An ioctl of the kernel's device; `request_name` for messages. Errors: kHost.
  Status control(unsigned long request, const void* argument, const char* request_name) const;

  /// Before the rings: the negotiated features of those that the kernel has to know, and all of the
  /// guest's RAM. The kernel reaches this memory only, whatever address a guest names.
  Status begin(std::uint64_t features, const GuestMemory& memory) const;
  /// The queue's places are checked first, as for queues that this process serves. The kernel does
  /// not begin with it. Errors: kGuest, kHost.
  Result<Ring> set_up(unsigned index, const QueueBackend::Queue& queue,
                      const GuestMemory& memory) const;
  /// A first look once the kernel serves it, also at what was rung for before.
  static void look(const QueueBackend::Queue& queue);
  void set_call(unsigned index, int call) const;
  /// An eventfd that the kernel signals when the ring breaks the rules; it leaves the ring alone
  /// then.
  void set_error(unsigned index, int error) const;
  /// Of a ring that the kernel does not serve any more: it has used all that it took.
  QueuePosition position(const Ring& ring) const;

 private:
  VhostRings(UniqueFd vhost, std::string name) : vhost_(std::move(vhost)), name_(std::move(name)) {}

  UniqueFd vhost_;
  std::string name_;
  std::uint64_t supported_ = 0;
};

}  // namespace gpuvm
