// SPDX-License-Identifier: Apache-2.0
// ServedQueue: one queue of a device in guest memory that is made of a fuzzer's input, served as
// InProcessQueues does it, on the fuzzer's thread. It ends the process where something does not
// hold that must: no more written than there is room, every buffer given back once.
#pragma once

#include <memory>
#include <vector>

#include "devices/virtio/request_device.hpp"
#include "tests/fuzz/guest_input.hpp"

namespace gpuvm::fuzz {

class ServedQueue : private RequestSink {
 public:
  static constexpr unsigned kMostChains = 64;  ///< a ring may be refilled for ever

  /// The descriptor table is at `at`, the available ring 0x80 further, the used ring 0x100.
  ServedQueue(const GuestMemory& memory, std::size_t index, SplitQueueSetup setup, std::uint64_t at)
      : index_(index), queue_(make(memory, setup, at)) {}

  /// False: the guest broke a rule.
  bool serve(RequestDevice& device) {
    for (unsigned i = 0; i < kMostChains; ++i) {
      RequestSink* const sink = this;
      auto request = std::make_unique<QueueRequest>(sink, index_);
      const auto popped = queue_.pop(request->chain);
      if (!popped || open_ >= queue_.setup().size) {
        return false;
      }
      if (!*popped) {
        return true;
      }
      requests_.push_back(std::move(request));
      ++open_;
      const auto executed = device.execute(*requests_.back());
      if (!executed) {
        --open_;
        return false;
      }
      if (executed->is_done) {
        requests_.back()->complete(executed->written);
      }
    }
    return true;
  }
  std::size_t open() const { return open_; }

 private:
  static SplitQueue make(const GuestMemory& memory, SplitQueueSetup setup, std::uint64_t at) {
    setup.descriptors = GuestAddress(at);
    setup.available = GuestAddress(at + 0x80);
    setup.used = GuestAddress(at + 0x100);
    auto queue = SplitQueue::create(memory, setup);
    require(queue.has_value(), "the setup is good");
    return std::move(queue).value();
  }
  void complete(std::span<const Completion> completions) override {
    std::vector<virtio::UsedElement> used;
    for (const auto& completion : completions) {
      require(completion.written <= completion.request->chain.writable.size(),
              "no more is written than there is room");
      used.push_back({.id = completion.request->chain.head, .length = completion.written});
    }
    require(used.size() <= open_, "a buffer is given back once");
    open_ -= used.size();
    queue_.push(used);
    queue_.must_interrupt();
  }
  void release(QueueRequest&) override {
    require(open_ > 0, "a buffer is given back once");
    --open_;
    queue_.unpop();
  }
  const std::size_t index_;
  SplitQueue queue_;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<QueueRequest>> requests_;
};

}  // namespace gpuvm::fuzz
