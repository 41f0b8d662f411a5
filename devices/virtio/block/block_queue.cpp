// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_queue.hpp"

namespace gpuvm {
namespace {

using virtio_block::RequestStatus;

/// 2.7.8.2: the first so many bytes are written; the status counts where nothing is missing before.
std::uint32_t put_status(QueueRequest& request, std::byte* status, RequestStatus outcome,
                         std::uint64_t written) {
  *status = static_cast<std::byte>(outcome);
  const bool complete = written == request.chain.writable.size();
  return static_cast<std::uint32_t>(written + (complete ? 1U : 0U));
}

}  // namespace

Execution answer_now(QueueRequest& request, std::byte* status, RequestStatus outcome,
                     std::uint64_t written) {
  return Execution::done(put_status(request, status, outcome, written));
}

BlockQueue::BlockQueue(Disk& disk, unsigned entries, Judge judge)
    : disk_(disk), judge_(std::move(judge)), queue_(disk.make_queue(entries)), pending_(entries) {
  for (auto& pending : pending_) {
    free_.push_back(&pending);
  }
}

Execution BlockQueue::begin(QueueRequest& request, std::byte* status,
                            std::span<const DiskOperation> operations, bool flush) {
  Pending alone;
  const bool later = queue_ != nullptr && !free_.empty();
  Pending& pending = later ? *free_.back() : alone;
  pending.request = &request;
  pending.status = status;
  pending.open = 0;
  pending.read_bytes = 0;
  pending.bytes = 0;
  pending.flush = flush;
  pending.outcome = RequestStatus::kOk;
  pending.operations.assign(operations.begin(), operations.end());
  for (const auto& operation : operations) {
    pending.read_bytes += operation.kind == DiskOperation::Kind::kRead ? operation.length : 0;
    pending.bytes += operation.length;
  }
  if (later) {
    open_bytes_ += pending.bytes;
    free_.pop_back();
    begun_.push_back(&pending);
    return Execution::later();
  }
  for (const auto& operation : operations) {
    carry_out(pending, operation);
  }
  return Execution::done(conclude(pending));
}

/// Does nothing for a request that has failed already.
void BlockQueue::carry_out(Pending& pending, const DiskOperation& operation) {
  if (pending.outcome == RequestStatus::kOk) {
    pending.outcome = judge_(disk_.carry_out(operation));
  }
}

bool BlockQueue::is_quick_alone() const {
  return begun_.size() == 1 && free_.size() + 1 == pending_.size() &&
         begun_.front()->operations.size() == 1 &&
         disk_.is_quick(begun_.front()->operations.front());
}

void BlockQueue::send(Pending& pending) {
  // One more until all are sent: those that are done at once must not end the request.
  pending.open = 1;
  for (const auto& operation : pending.operations) {
    if (queue_->add(operation, &pending)) {
      ++pending.open;
    } else {
      carry_out(pending, operation);
    }
  }
  finish_one(pending);
}

/// One of the request's operations less; the last one is its answer.
void BlockQueue::finish_one(Pending& pending) {
  if (--pending.open == 0) {
    const std::uint32_t written = conclude(pending);
    completions_.push_back({.request = pending.request, .written = written});
    open_bytes_ -= pending.bytes;
    free_.push_back(&pending);
  }
}

std::uint32_t BlockQueue::conclude(Pending& pending) {
  if (pending.flush && pending.outcome == RequestStatus::kOk) {
    pending.outcome = judge_(disk_.flush());
  }
  return put_status(*pending.request, pending.status, pending.outcome,
                    pending.outcome == RequestStatus::kOk ? pending.read_bytes : 0);
}

void BlockQueue::submit() {
  if (!queue_) {
    return;
  }
  if (is_quick_alone()) {
    Pending& pending = *begun_.front();
    carry_out(pending, pending.operations.front());
    pending.open = 1;
    finish_one(pending);
  } else {
    for (auto* const pending : begun_) {
      send(*pending);
    }
    queue_->submit();
  }
  begun_.clear();
  answer_finished();  // what the page cache had is ready already
}

void BlockQueue::finish() {
  submit();
  while (queue_ && free_.size() != pending_.size()) {
    queue_->wait();
    answer_finished();
  }
}

void BlockQueue::answer_finished() {
  finished_.clear();
  queue_->reap(finished_);
  for (const auto& finished : finished_) {
    auto& pending = *static_cast<Pending*>(finished.tag);
    if (const auto outcome = judge_(finished.status); outcome != RequestStatus::kOk) {
      pending.outcome = outcome;
    }
    finish_one(pending);
  }
  if (!completions_.empty()) {
    QueueRequest::complete(completions_);
    completions_.clear();
  }
}

pollfd BlockQueue::wanted() {
  return {.fd = queue_ ? queue_->event() : -1, .events = POLLIN, .revents = 0};
}

Status BlockQueue::serve(short) {
  answer_finished();
  return {};
}

}  // namespace gpuvm
