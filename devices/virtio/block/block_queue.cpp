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
  pending = {.request = &request, .status = status, .flush = flush};
  for (const auto& operation : operations) {
    if (operation.kind == DiskOperation::Kind::kRead) {
      pending.read_bytes += operation.length;
    }
    if (later && queue_->add(operation, &pending)) {
      ++pending.open;
    } else if (const auto outcome = judge_(disk_.carry_out(operation));
               outcome != RequestStatus::kOk) {
      pending.outcome = outcome;
      break;
    }
  }
  if (pending.open == 0) {
    return Execution::done(conclude(pending));
  }
  free_.pop_back();
  return Execution::later();
}

std::uint32_t BlockQueue::conclude(Pending& pending) {
  if (pending.flush && pending.outcome == RequestStatus::kOk) {
    pending.outcome = judge_(disk_.flush());
  }
  return put_status(*pending.request, pending.status, pending.outcome,
                    pending.outcome == RequestStatus::kOk ? pending.read_bytes : 0);
}

void BlockQueue::submit() {
  if (queue_) {
    queue_->submit();
    answer_finished();  // what the page cache had is ready already
  }
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
  completions_.clear();
  queue_->reap(finished_);
  for (const auto& finished : finished_) {
    auto& pending = *static_cast<Pending*>(finished.tag);
    if (const auto outcome = judge_(finished.status); outcome != RequestStatus::kOk) {
      pending.outcome = outcome;
    }
    if (--pending.open == 0) {
      const std::uint32_t written = conclude(pending);
      completions_.push_back({.request = pending.request, .written = written});
      free_.push_back(&pending);
    }
  }
  if (!completions_.empty()) {
    QueueRequest::complete(completions_);
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
