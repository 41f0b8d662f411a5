// SPDX-License-Identifier: Apache-2.0
// RequestDevice: a virtio device whose requests this process carries out. QueueRequest: one request
// on its way: it is completed where it is executed, or later and from any thread.
// EventSource: events of the device's own, which the same thread serves.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "devices/virtio/split_queue.hpp"
#include "devices/virtio/virtio_device.hpp"

namespace gpuvm {

class QueueRequest;

/// A request that is done: the first `written` bytes of its chain's writable part are.
struct Completion {
  QueueRequest* request = nullptr;
  std::uint32_t written = 0;
};

/// Where finished requests go. Any thread.
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void complete(std::span<const Completion> completions) = 0;
  virtual void release(QueueRequest& request) = 0;
  virtual bool is_stopping([[maybe_unused]] std::size_t queue) const { return false; }
};

/// A device that answers later keeps the reference until it has called complete() or release(),
/// which it does once.
class QueueRequest {
 public:
  QueueRequest(RequestSink* sink, std::size_t queue) : queue_(queue), sink_(sink) {}

  std::size_t queue() const { return queue_; }
  /// Done: the first `written` bytes of the chain's writable part are. Any thread, also before
  /// execute() has returned.
  void complete(std::uint32_t written) {
    const Completion completion{.request = this, .written = written};
    sink_->complete({&completion, 1});
  }
  /// The same for several of one queue, at least one: the driver sees all of them or none yet.
  static void complete(std::span<const Completion> completions) {
    completions.front().request->sink_->complete(completions);
  }
  /// Given back as if it had not been taken. Only for the newest ones of a queue whose requests are
  /// completed in order. Any thread.
  void release() { sink_->release(*this); }
  /// Somebody waits for the queue's thread to rest: what would still take long had better be
  /// released. On that thread.
  bool is_unwanted() const { return sink_->is_stopping(queue_); }

  DescriptorChain chain;

 private:
  const std::size_t queue_;
  RequestSink* const sink_;
};

/// How execute() left a request.
struct Execution {
  bool is_done = true;
  std::uint32_t written = 0;  ///< bytes at the front of the chain's writable part

  static Execution done(std::uint32_t written) { return {.is_done = true, .written = written}; }
  static Execution later() { return {.is_done = false, .written = 0}; }
};

/// What comes to a device from elsewhere. Called on the thread of its queues while they are served.
class EventSource {
 public:
  virtual ~EventSource() = default;
  /// What to wait for next, as for poll(2); a negative descriptor: nothing.
  virtual pollfd wanted() = 0;
  /// Some of that has come, or POLLERR or POLLHUP has. Serves a bounded amount of it: what is left
  /// is waited for again. Errors: kGuest, the device needs a reset.
  virtual Status serve(short events) = 0;
};

/// One thread serves all queues, unless the device has one for each. Then what has a queue's number
/// is called by that queue's thread, and by several threads at a time.
class RequestDevice : public VirtioDevice {
 public:
  /// Never changes.
  virtual bool has_thread_per_queue() const { return false; }
  /// Of a device with one thread. Never changes; null: everything comes from the driver.
  virtual EventSource* event_source() { return nullptr; }
  /// The same for the thread of this queue.
  virtual EventSource* queue_events(std::size_t queue) {
    return queue == 0 ? event_source() : nullptr;
  }
  /// How long no request is to be taken from the queue; 0: it may be.
  virtual std::chrono::milliseconds rest_of([[maybe_unused]] std::size_t queue) {
    return std::chrono::milliseconds(0);
  }
  /// After how long without a doorbell end_batch() is to be called all the same; 0: never.
  virtual std::chrono::milliseconds patience_of([[maybe_unused]] std::size_t queue) {
    return std::chrono::milliseconds(0);
  }
  /// Carries out one request, which may block, or begins to and answers later(). Only on the thread
  /// of its queue. Errors: kGuest, the chain makes no sense, and the device needs a reset; the
  /// request is the caller's again.
  virtual Result<Execution> execute(QueueRequest& request) = 0;
  /// No more requests are taken for the moment: what execute() has gathered begins now at the
  /// latest.
  virtual void end_batch([[maybe_unused]] std::size_t queue) {}
  /// The queue's thread ends: what execute() has begun and what can only end on this thread ends
  /// now.
  virtual void leave_queue([[maybe_unused]] std::size_t queue) {}
  /// The queues are to rest, and execute() is not called: requests that would be open for long (a
  /// network's buffers for what may never come) are to be released now. Those that a disk has begun
  /// need nothing done: whoever stops the queues waits for them.
  virtual void finish() {}
};

}  // namespace gpuvm
