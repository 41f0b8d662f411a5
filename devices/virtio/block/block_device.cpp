// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_device.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using virtio_block::RangeSegment;
using virtio_block::RequestHeader;
using virtio_block::RequestStatus;
using virtio_block::RequestType;

constexpr std::uint32_t kClassMassStorage = 0x018000;  // PCI Code and ID Assignment: "other"
constexpr std::uint32_t kDiscardAlignment = 8;         // sectors: a page of the host's file system

VirtioDevice::Identity identity_of(const Disk::Geometry& disk, std::uint16_t queues) {
  std::uint64_t features = virtio_block::kFeatureSegmentMax | virtio_block::kFeatureBlockSize |
                           virtio_block::kFeatureFlush;
  if (disk.read_only) {
    features |= virtio_block::kFeatureReadOnly;
  } else {
    features |= virtio_block::kFeatureWriteZeroes;
    features |= disk.discard ? virtio_block::kFeatureDiscard : 0;
  }
  features |= queues > 1 ? virtio_block::kFeatureMultiQueue : 0;
  return {.type = virtio::kDeviceBlock,
          .class_code = kClassMassStorage,
          .features = features,
          .queues = queues,
          .queue_size = BlockDevice::kQueueSize,
          .config_size = virtio_block::kConfigSize};
}

template <class T>
bool take_value(GuestBuffer& buffer, T& value) {
  return buffer.take(std::as_writable_bytes(std::span<T, 1>(&value, 1)));
}

void count(std::atomic<std::uint64_t>& counter, std::uint64_t more) {
  counter.fetch_add(more, std::memory_order_relaxed);
}

}  // namespace

BlockDevice::BlockDevice(std::string name, std::string_view id, Disk& disk, const Options& options)
    : name_(std::move(name)),
      id_(id.substr(0, virtio_block::kIdSize)),
      disk_(disk),
      identity_(identity_of(disk.geometry(), options.queues)),
      sectors_(disk.geometry().size / virtio_block::kSectorSize),
      known_size_(disk.geometry().size),
      throttle_(options.limits, Throttle::Clock::now()) {
  define_config();
  for (std::uint16_t i = 0; i < options.queues; ++i) {
    queues_.push_back(std::make_unique<BlockQueue>(
        disk, kQueueSize, [this](const Status& status) { return judge(status); }));
  }
}

void BlockDevice::define_config() {
  const auto put = [this](std::size_t offset, std::size_t size, std::uint64_t value) {
    config_.define(offset, size, value);
  };
  const auto& disk = disk_.geometry();
  put(virtio_block::kCapacity, 8, sectors_);
  put(virtio_block::kSegmentMax, 4, kQueueSize - 2);  // header and status take two
  put(virtio_block::kBlockSize, 4, disk.block_size);
  if (identity_.queues > 1) {
    put(virtio_block::kQueueCount, 2, identity_.queues);
  }
  if (!disk.read_only) {
    put(virtio_block::kMaxWriteZeroesSectors, 4, kMaxZeroSectors);
    put(virtio_block::kMaxWriteZeroesSegments, 4, kMaxZeroSegments);
    put(virtio_block::kWriteZeroesMayUnmap, 1, disk.discard ? 1 : 0);
  }
  if (!disk.read_only && disk.discard) {
    put(virtio_block::kMaxDiscardSectors, 4, kMaxDiscardSectors);
    put(virtio_block::kMaxDiscardSegments, 4, kMaxDiscardSegments);
    put(virtio_block::kDiscardAlignment, 4, kDiscardAlignment);
  }
}

void BlockDevice::start(std::uint64_t features) {
  write_through_ = (features & virtio_block::kFeatureFlush) == 0;
}

void BlockDevice::resize(std::uint64_t size) {
  const std::uint64_t sectors = size / virtio_block::kSectorSize;
  sectors_.store(sectors, std::memory_order_relaxed);
  config_.change(virtio_block::kCapacity, 8, sectors);
}

std::chrono::milliseconds BlockDevice::rest_of(std::size_t queue) {
  constexpr std::chrono::milliseconds kUntilSomeHasEnded{1};
  return queues_[queue]->is_full() ? kUntilSomeHasEnded : throttle_.rest(Throttle::Clock::now());
}

void BlockDevice::end_batch(std::size_t queue) {
  queues_[queue]->submit();
  if (queue == 0) {
    look_at_size();
  }
}

/// Only growth is announced: what was cut away may be cut by mistake, and gives errors.
void BlockDevice::look_at_size() {
  const auto now = Throttle::Clock::now();
  if (now - looked_ < kLookEvery) {
    return;
  }
  looked_ = now;
  const std::uint64_t size = disk_.current_size();
  if (size > known_size_) {
    known_size_ = size;
    log::info("{}: the disk has {} bytes now", name_, size);
    resize(size);
  }
}

Result<Execution> BlockDevice::execute(QueueRequest& request) {
  DescriptorChain& chain = request.chain;
  std::byte* const status = chain.writable.take_last();
  RequestHeader header;
  if (status == nullptr || !take_value(chain.readable, header)) {
    return fail(ErrorKind::kGuest, "A block request has no header or no status");
  }
  if (static_cast<RequestType>(header.type) == RequestType::kGetId) {
    throttle_.take(0);
    std::array<std::byte, virtio_block::kIdSize> id{};
    std::transform(id_.begin(), id_.end(), id.begin(),
                   [](char c) { return static_cast<std::byte>(c); });
    return answer_now(request, status, RequestStatus::kOk, chain.writable.fill(id));
  }
  Operations operations;
  const auto outcome = plan(header, chain, operations);
  if (outcome != RequestStatus::kOk || operations.empty()) {
    throttle_.take(0);  // what costs the disk nothing costs the host a turn
    return answer_now(request, status, outcome);
  }
  const bool is_flush = operations.front().kind == DiskOperation::Kind::kFlush;
  std::uint64_t bytes = 0;
  for (const auto& operation : operations) {
    bytes += operation.kind == DiskOperation::Kind::kDiscard ? 0 : operation.length;
  }
  throttle_.take(bytes);
  return queues_[request.queue()]->begin(
      request, status, operations,
      write_through_ && !is_flush && operations.front().kind != DiskOperation::Kind::kRead &&
          operations.front().kind != DiskOperation::Kind::kDiscard);
}

/// What is to be done; nothing where nothing is.
RequestStatus BlockDevice::plan(const RequestHeader& header, DescriptorChain& chain,
                                Operations& operations) {
  const auto type = static_cast<RequestType>(header.type);
  switch (type) {
    case RequestType::kRead:
      return plan_transfer(header.sector, chain.writable, false, operations);
    case RequestType::kWrite:
      return plan_transfer(header.sector, chain.readable, true, operations);
    case RequestType::kFlush:
      count(counters_.flushes, 1);
      if (!disk_.geometry().read_only) {
        operations.push_back({.kind = DiskOperation::Kind::kFlush});
      }
      return RequestStatus::kOk;
    case RequestType::kDiscard:
    case RequestType::kWriteZeroes:
      return plan_ranges(type, chain.readable, operations);
    case RequestType::kGetId:
      break;
  }
  return RequestStatus::kUnsupported;
}

bool BlockDevice::inside(std::uint64_t sector, std::uint64_t sectors) const {
  const std::uint64_t capacity = sectors_.load(std::memory_order_relaxed);
  return sector <= capacity && sectors <= capacity - sector;
}

RequestStatus BlockDevice::judge(const Status& status) {
  if (status) {
    return RequestStatus::kOk;
  }
  count(counters_.errors, 1);
  if (limit_.allow()) {
    log::warn("{}: {}", name_, status.error().to_string());
  }
  return RequestStatus::kIoError;
}

RequestStatus BlockDevice::plan_transfer(std::uint64_t sector, const GuestBuffer& data, bool writes,
                                         Operations& operations) {
  if ((writes && disk_.geometry().read_only) || data.size() % virtio_block::kSectorSize != 0 ||
      !inside(sector, data.size() / virtio_block::kSectorSize)) {
    return RequestStatus::kIoError;
  }
  count(writes ? counters_.writes : counters_.reads, 1);
  count(writes ? counters_.bytes_written : counters_.bytes_read, data.size());
  if (data.size() > 0) {
    operations.push_back({.kind = writes ? DiskOperation::Kind::kWrite : DiskOperation::Kind::kRead,
                          .offset = sector * virtio_block::kSectorSize,
                          .length = data.size(),
                          .pieces = data.pieces()});
  }
  return RequestStatus::kOk;
}

/// All segments are judged before the first is changed.
RequestStatus BlockDevice::plan_ranges(RequestType type, GuestBuffer& data,
                                       Operations& operations) {
  const bool zero = type == RequestType::kWriteZeroes;
  const std::uint32_t most_segments = zero ? kMaxZeroSegments : kMaxDiscardSegments;
  const std::uint32_t most_sectors = zero ? kMaxZeroSectors : kMaxDiscardSectors;
  if (!zero && !disk_.geometry().discard) {
    return RequestStatus::kUnsupported;
  }
  if (disk_.geometry().read_only || data.size() == 0 ||
      data.size() % virtio_block::kRangeSegmentSize != 0 ||
      data.size() / virtio_block::kRangeSegmentSize > most_segments) {
    return RequestStatus::kIoError;
  }
  count(counters_.range_changes, 1);
  while (data.size() > 0) {
    RangeSegment range;
    take_value(data, range);
    if ((range.flags & ~(zero ? virtio_block::kRangeUnmap : 0U)) != 0) {
      return RequestStatus::kUnsupported;
    }
    if (range.sectors > most_sectors || !inside(range.sector, range.sectors)) {
      return RequestStatus::kIoError;
    }
    const bool unmap = (range.flags & virtio_block::kRangeUnmap) != 0 && disk_.geometry().discard;
    if (range.sectors > 0) {
      operations.push_back(
          {.kind = zero ? DiskOperation::Kind::kWriteZeroes : DiskOperation::Kind::kDiscard,
           .offset = range.sector * virtio_block::kSectorSize,
           .length = range.sectors * virtio_block::kSectorSize,
           .unmap = unmap ? Unmap::kYes : Unmap::kNo});
    }
  }
  return RequestStatus::kOk;
}

void BlockDevice::inspect(InspectNode& node) const {
  const auto field = [&node](std::string_view key, const std::atomic<std::uint64_t>& counter) {
    node.field(key, counter.load(std::memory_order_relaxed));
  };
  node.field("size", sectors_.load(std::memory_order_relaxed) * virtio_block::kSectorSize);
  node.field("read_only", disk_.geometry().read_only);
  node.field("block_size", std::uint64_t{disk_.geometry().block_size});
  node.field("queues", std::uint64_t{identity_.queues});
  for (const auto& [key, value] : disk_.describe()) {
    node.field(key, value);
  }
  field("reads", counters_.reads);
  field("writes", counters_.writes);
  field("flushes", counters_.flushes);
  field("range_changes", counters_.range_changes);
  field("bytes_read", counters_.bytes_read);
  field("bytes_written", counters_.bytes_written);
  field("errors", counters_.errors);
}

}  // namespace gpuvm
