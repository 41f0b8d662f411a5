// SPDX-License-Identifier: Apache-2.0
// VhostNetQueues: the queues of a network device whose link is a tap, served by the kernel (vhost):
// frames go between the tap and guest memory without this process, which the driver's doorbells and
// the kernel's interrupts do not wake either. Each pair of queues has a vhost and a queue of the
// tap of its own; which pairs are used, the driver says on the control queue, which a thread of
// this process serves. The same thread hears of rings that break the rules, and of a tap that is
// gone. Missing: what VhostRings misses; hashes by which the driver steers flows
// (5.1.6.5.6, 5.1.6.5.7).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/virtio/net/control_queue.hpp"
#include "devices/virtio/net/tap_watch.hpp"
#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/queue_thread.hpp"
#include "devices/virtio/vhost/vhost_rings.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VhostNetQueues : public QueueBackend {
 public:
  struct Pair {
    UniqueFd vhost;  ///< /dev/vhost-net, open for reading and writing
    int tap = -1;    ///< a queue of the tap, attached; outlives this
  };
  struct Options {
    std::string name;         ///< of the device, for the thread
    std::vector<Pair> pairs;  ///< at least one
    /// The tap is gone for good: once, on the thread of the queues.
    std::function<void(const Error&)> on_tap_gone = {};
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<VhostNetQueues>> create(Options options);
  ~VhostNetQueues() override;
  VhostNetQueues(const VhostNetQueues&) = delete;
  VhostNetQueues& operator=(const VhostNetQueues&) = delete;

  std::uint64_t features() const override;
  bool has_call_events() const override { return true; }
  Status start(const Start& start) override;
  void set_call(std::size_t queue, int call) override;
  std::vector<QueuePosition> stop() override;
  void inspect(InspectNode& node) const override;

 private:
  /// One of the device's queues, as it was started.
  struct Served {
    Queue queue;
    std::optional<VhostRings::Ring> ring = {};  ///< nothing: not of the kernel's
    bool has_tap = false;                       ///< frames go
  };

  VhostNetQueues(Options options, TapWatch watch);
  Status open_pairs(std::vector<Pair> pairs);
  Status make_control();
  Status make_thread();
  Status set_up(const Start& start);
  void start_thread();
  Status use_pairs(std::size_t pairs);
  Status attach(std::size_t pair, bool attached);
  Status set_tap(const Served& served, int tap) const;
  bool serve(std::size_t event);
  bool look_at_tap();
  std::size_t control_index() const;
  bool is_control(std::size_t queue) const;

  const std::string name_;
  const std::function<void(const Error&)> on_tap_gone_;
  const TapWatch watch_;
  std::unique_ptr<ControlQueue> control_;
  std::vector<VhostRings> rings_;  ///< of each pair
  std::vector<int> taps_;
  std::vector<EventFd> errors_;       ///< of each queue of each pair
  std::vector<bool> attached_;        ///< which of taps_ are
  std::atomic<std::size_t> used_{1};  ///< pairs, from the first on
  std::atomic<bool> is_gone_{false};  ///< the tap is

  // Of who starts and stops, and of the thread between both.
  std::uint64_t features_ = 0;  ///< negotiated
  QueueListener* listener_ = nullptr;
  std::vector<Served> served_;
  std::vector<std::size_t> events_;  ///< of which queue each event of the thread is
  std::unique_ptr<QueueThread> thread_;
};

}  // namespace gpuvm
