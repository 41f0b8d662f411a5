// SPDX-License-Identifier: Apache-2.0
// RequestDevice: a virtio device whose requests this process carries out. QueueRequest: one request
// on its way: it is completed where it is executed, or later and from any thread.
// Missing: a device's own events on the thread of the queues, several threads for a device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "devices/virtio/split_queue.hpp"
#include "devices/virtio/virtio_device.hpp"

namespace gpuvm {

class QueueRequest;

/// Where finished requests go. Any thread.
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void complete(QueueRequest& request, std::uint32_t written) = 0;
  virtual void release(QueueRequest& request) = 0;
};

/// A device that answers later keeps the reference until it has called complete() or release(),
/// which it does once.
class QueueRequest {
 public:
  QueueRequest(RequestSink* sink, std::size_t queue) : queue_(queue), sink_(sink) {}

  std::size_t queue() const { return queue_; }
  /// Done: the first `written` bytes of the chain's writable part are. Any thread, also before
  /// execute() has returned.
  void complete(std::uint32_t written) { sink_->complete(*this, written); }
  /// Given back as if it had not been taken. Only for the newest ones of a queue whose requests are
  /// completed in order. Any thread.
  void release() { sink_->release(*this); }

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

class RequestDevice : public VirtioDevice {
 public:
  /// Carries out one request, which may block, or begins to and answers later(). Only on the thread
  /// of the queues. Errors: kGuest, the chain makes no sense, and the device needs a reset; the
  /// request is the caller's again.
  virtual Result<Execution> execute(QueueRequest& request) = 0;
  /// The queues are to rest, and execute() is not called: requests that would be open for long (a
  /// network's buffers for what may never come) are to be released now. Those that a disk has begun
  /// need nothing done: whoever stops the queues waits for them.
  virtual void finish() {}
};

}  // namespace gpuvm
