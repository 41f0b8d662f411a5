// SPDX-License-Identifier: Apache-2.0
// QueueBackend: who serves the queues of a virtio device: threads of this process
// (in_process_queues.hpp), the kernel (vhost) or another process (vhost-user). The transport owns
// registers, interrupts and eventfds; a backend is told where the queues lie and serves them.
// A backend does not pause: the transport stops it, and starts it again where it was, which is all
// that vhost and vhost-user have for it (VHOST_GET_VRING_BASE).
// Missing: reset of one queue (VIRTIO 1.2, 2.6.1), the dirty log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/virtio/split_queue.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// What a backend tells the transport. Any thread; neither call waits for a backend.
class QueueListener {
 public:
  virtual ~QueueListener() = default;
  /// The driver is to hear of used buffers: for backends without call events.
  virtual void queue_used(std::size_t queue) = 0;
  /// Nothing is served any more: the driver has to reset the device. Errors: kGuest (it broke a
  /// rule), kHost.
  virtual void queues_broken(const Error& error) = 0;
};

/// The transport calls start(), set_call(), expect_stop() and stop() one at a time.
class QueueBackend : public Inspectable {
 public:
  struct Queue {
    std::size_t index = 0;       ///< of the device
    SplitQueueSetup setup = {};  ///< addresses are the guest's, not checked
    QueuePosition position = {};
    /// Eventfd: the driver rang. What came while nobody served is still in it.
    int kick = -1;
    /// Eventfd to signal when the driver is to be interrupted; -1 without call events.
    int call = -1;
  };
  struct Start {
    /// All of the guest's RAM: for the kernel its addresses in this process, for another process
    /// its file, which must then have been made with GuestMemoryOptions::is_shared.
    const GuestMemory& memory;
    std::uint64_t features = 0;  ///< negotiated
    std::span<const Queue> queues;
    QueueListener& listener;  ///< outlives the backend
  };

  /// Of the features that device and transport would offer, those that the backend can.
  virtual std::uint64_t features() const = 0;
  /// True: it signals Queue::call, and never calls QueueListener::queue_used(). Never changes.
  virtual bool has_call_events() const = 0;
  /// Serves these queues from now on, beginning with a look at each. Not called while it runs.
  /// Errors: kGuest (a queue that cannot be), kHost; nothing is served then.
  virtual Status start(const Start& start) = 0;
  /// Another eventfd in the place of Queue::call, from now on; while it runs.
  virtual void set_call(std::size_t queue, int call) = 0;
  /// A stop follows, of this backend and of others one after the other: what it has to wait for may
  /// begin to end, and its patience begins now. Only while it runs; need not be called.
  virtual void expect_stop() {}
  /// Returns when no queue is looked at and no request is in flight: how far each queue has come,
  /// in the order of start(). Called once for each start() that succeeded; may block as long as the
  /// requests in flight do.
  virtual std::vector<QueuePosition> stop() = 0;
};

}  // namespace gpuvm
