// SPDX-License-Identifier: Apache-2.0
// VirtioQueues: the transport's side of its queues: their eventfds, how far each has come, and the
// backend, which runs while the registers say so and nobody has paused it. Everything that starts
// or stops it goes through here, one after the other and without the lock of the registers, so that
// only who asks waits for requests in flight.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/queue_thread.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "devices/virtio/virtio_interrupts.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// Any thread. Holds its lock while it waits for the backend: call it with no lock held that a
/// vCPU's access may need.
class VirtioQueues : public Inspectable, private QueueListener {
 public:
  /// What the registers ask for.
  struct Wanted {
    std::uint64_t features = 0;
    std::vector<std::optional<SplitQueueSetup>> queues;  ///< nothing: not enabled
  };
  /// References must outlive this.
  struct Options {
    VirtioDevice& device;
    std::unique_ptr<QueueBackend> backend;
    const GuestMemory& memory;
    VirtioInterrupts& interrupts;
    /// What to serve; nothing: the device rests. Called with this object's lock.
    std::function<std::optional<Wanted>()> wanted;
    /// The device needs a reset, and wanted() says nothing until then. Any thread.
    std::function<void(const Error&)> on_broken;
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<VirtioQueues>> create(Options options);
  ~VirtioQueues() override { stop(); }
  VirtioQueues(const VirtioQueues&) = delete;
  VirtioQueues& operator=(const VirtioQueues&) = delete;

  /// The eventfds that a driver rings, one for each queue.
  std::vector<int> kicks() const;
  /// Rings one. Never waits.
  void kick(std::size_t queue) { kicks_[queue].signal(); }

  /// Stops the backend, and starts it anew where it was if that is wanted.
  void follow() GPUVM_EXCLUDES(control_);
  /// pause() or stop() follows, of this and of other devices: what they wait for begins to end.
  void expect_rest() GPUVM_EXCLUDES(control_);
  /// As follow(), and nothing is served until resume(); what the driver rings for waits.
  void pause() GPUVM_EXCLUDES(control_);
  void resume() GPUVM_EXCLUDES(control_);
  /// Stops the backend.
  void stop() GPUVM_EXCLUDES(control_);
  /// Stops the backend, forgets how far queues have come and what was rung, then calls `registers`,
  /// before anything is started again.
  void reset(const std::function<void()>& registers) GPUVM_EXCLUDES(control_);
  /// Vectors or MSI-X changed: tells a backend that has call events, after a stop that is under
  /// way.
  void update_calls() GPUVM_EXCLUDES(control_);

  void inspect(InspectNode& node) const override;

 private:
  explicit VirtioQueues(Options options);
  Status make_events();
  void stop_backend() GPUVM_REQUIRES(control_);
  void apply() GPUVM_REQUIRES(control_);
  Status start_backend(const Wanted& wanted) GPUVM_REQUIRES(control_);
  int call_of(std::size_t queue) const;
  void queue_used(std::size_t queue) override { options_.interrupts.queue_used(queue); }
  void queues_broken(const Error& error) override { options_.on_broken(error); }

  const Options options_;
  std::vector<EventFd> kicks_;
  std::vector<EventFd> calls_;  ///< those of backends with call events while MSI-X is off
  std::atomic<bool> running_{false};

  Mutex control_;
  bool paused_ GPUVM_GUARDED_BY(control_) = false;
  std::vector<QueuePosition> positions_ GPUVM_GUARDED_BY(control_);
  std::vector<QueueBackend::Queue> started_ GPUVM_GUARDED_BY(control_);
  /// Passes calls_ on; null without call events.
  std::unique_ptr<QueueThread> relay_ GPUVM_GUARDED_BY(control_);
};

}  // namespace gpuvm
