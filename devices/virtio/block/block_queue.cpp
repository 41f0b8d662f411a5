// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_queue.hpp"

#include <algorithm>

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

/// The pieces of a request, some bytes of them after the others.
class Parts {
 public:
  explicit Parts(std::span<const iovec> pieces) : left_(pieces) {}
  /// The next `length` bytes, of which there are so many.
  std::vector<iovec> next(std::uint64_t length) {
    std::vector<iovec> part;
    while (length > 0) {
      const iovec& piece = left_.front();
      const auto size = std::min<std::uint64_t>(piece.iov_len - used_, length);
      part.push_back({.iov_base = static_cast<std::byte*>(piece.iov_base) + used_,
                      .iov_len = static_cast<std::size_t>(size)});
      length -= size;
      used_ += size;
      if (used_ == piece.iov_len) {
        left_ = left_.subspan(1);
        used_ = 0;
      }
    }
    return part;
  }

 private:
  std::span<const iovec> left_;
  std::size_t used_ = 0;  ///< of the first
};

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
  if (!operations.front().pieces.empty() && operations.front().length > kLargestPart) {
    return carry_out_in_parts(request, status, operations.front(), flush);
  }
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

/// Whoever stops the queue waits for one part: reads and writes may be done twice. The request is
/// the newest of its queue, and so may be released.
Execution BlockQueue::carry_out_in_parts(QueueRequest& request, std::byte* status,
                                         const DiskOperation& whole, bool flush) {
  submit();
  auto outcome = RequestStatus::kOk;
  Parts parts(whole.pieces);
  for (std::uint64_t done = 0; done < whole.length && outcome == RequestStatus::kOk;) {
    if (request.is_unwanted()) {
      request.release();
      return Execution::later();
    }
    const std::uint64_t length = std::min(whole.length - done, kLargestPart);
    const auto pieces = parts.next(length);
    outcome = judge_(disk_.carry_out(
        {.kind = whole.kind, .offset = whole.offset + done, .length = length, .pieces = pieces}));
    done += length;
    answer_finished();
  }
  if (flush && outcome == RequestStatus::kOk) {
    outcome = judge_(disk_.flush());
  }
  const bool reads = whole.kind == DiskOperation::Kind::kRead && outcome == RequestStatus::kOk;
  return answer_now(request, status, outcome, reads ? whole.length : 0);
}

/// Does nothing for a request that has failed already, and for a hint that somebody would have to
/// wait for.
void BlockQueue::carry_out(Pending& pending, const DiskOperation& operation) {
  const bool is_spared =
      operation.kind == DiskOperation::Kind::kDiscard && pending.request->is_unwanted();
  if (pending.outcome == RequestStatus::kOk && !is_spared) {
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
  if (!queue_) {
    return;
  }
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
