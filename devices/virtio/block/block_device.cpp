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

VirtioDevice::Identity identity_of(const Disk::Geometry& disk) {
  std::uint64_t features = virtio_block::kFeatureSegmentMax | virtio_block::kFeatureBlockSize |
                           virtio_block::kFeatureFlush;
  features |= disk.read_only ? virtio_block::kFeatureReadOnly
                             : virtio_block::kFeatureDiscard | virtio_block::kFeatureWriteZeroes;
  return {.type = virtio::kDeviceBlock,
          .class_code = kClassMassStorage,
          .features = features,
          .queues = 1,
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

BlockDevice::BlockDevice(std::string name, std::string_view id, Disk& disk)
    : name_(std::move(name)),
      id_(id.substr(0, virtio_block::kIdSize)),
      disk_(disk),
      identity_(identity_of(disk.geometry())),
      sectors_(disk.geometry().size / virtio_block::kSectorSize) {
  const auto put = [this](std::size_t offset, std::size_t size, std::uint64_t value) {
    config_.define(offset, size, value);
  };
  put(virtio_block::kCapacity, 8, sectors_);
  put(virtio_block::kSegmentMax, 4, kQueueSize - 2);  // header and status take two
  put(virtio_block::kBlockSize, 4, disk.geometry().block_size);
  if (!disk.geometry().read_only) {
    put(virtio_block::kMaxDiscardSectors, 4, kMaxDiscardSectors);
    put(virtio_block::kMaxDiscardSegments, 4, kMaxDiscardSegments);
    put(virtio_block::kDiscardAlignment, 4, kDiscardAlignment);
    put(virtio_block::kMaxWriteZeroesSectors, 4, kMaxZeroSectors);
    put(virtio_block::kMaxWriteZeroesSegments, 4, kMaxZeroSegments);
    put(virtio_block::kWriteZeroesMayUnmap, 1, 1);
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

Result<Execution> BlockDevice::execute(QueueRequest& request) {
  DescriptorChain& chain = request.chain;
  std::byte* const status = chain.writable.take_last();
  RequestHeader header;
  if (status == nullptr || !take_value(chain.readable, header)) {
    return fail(ErrorKind::kGuest, "A block request has no header or no status");
  }
  const Outcome outcome = run(header, chain);
  *status = static_cast<std::byte>(outcome.status);
  // 2.7.8.2: the first so many bytes are written; the status counts where nothing is missing
  // before.
  const bool complete = outcome.written == chain.writable.size();
  return Execution::done(static_cast<std::uint32_t>(outcome.written + (complete ? 1U : 0U)));
}

BlockDevice::Outcome BlockDevice::run(const RequestHeader& header, DescriptorChain& chain) {
  const auto type = static_cast<RequestType>(header.type);
  switch (type) {
    case RequestType::kRead:
      return read(header.sector, chain.writable);
    case RequestType::kWrite:
      return write(header.sector, chain.readable);
    case RequestType::kFlush:
      return flush();
    case RequestType::kGetId:
      return get_id(chain.writable);
    case RequestType::kDiscard:
    case RequestType::kWriteZeroes:
      return change_ranges(type, chain.readable);
  }
  return {.status = RequestStatus::kUnsupported};
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

BlockDevice::Outcome BlockDevice::read(std::uint64_t sector, const GuestBuffer& data) {
  if (data.size() % virtio_block::kSectorSize != 0 ||
      !inside(sector, data.size() / virtio_block::kSectorSize)) {
    return {.status = RequestStatus::kIoError};
  }
  const auto status = judge(disk_.read(sector * virtio_block::kSectorSize, data.pieces()));
  count(counters_.reads, 1);
  count(counters_.bytes_read, data.size());
  return {.status = status, .written = status == RequestStatus::kOk ? data.size() : 0};
}

BlockDevice::Outcome BlockDevice::write(std::uint64_t sector, const GuestBuffer& data) {
  if (disk_.geometry().read_only || data.size() % virtio_block::kSectorSize != 0 ||
      !inside(sector, data.size() / virtio_block::kSectorSize)) {
    return {.status = RequestStatus::kIoError};
  }
  auto done = disk_.write(sector * virtio_block::kSectorSize, data.pieces());
  if (done && write_through_) {
    done = disk_.flush();
  }
  count(counters_.writes, 1);
  count(counters_.bytes_written, data.size());
  return {.status = judge(done)};
}

BlockDevice::Outcome BlockDevice::flush() {
  count(counters_.flushes, 1);
  return {.status = judge(disk_.geometry().read_only ? Status() : disk_.flush())};
}

BlockDevice::Outcome BlockDevice::get_id(const GuestBuffer& data) const {
  std::array<std::byte, virtio_block::kIdSize> id{};
  std::transform(id_.begin(), id_.end(), id.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return {.written = data.fill(id)};
}

/// All segments are judged before the first is changed.
BlockDevice::Outcome BlockDevice::change_ranges(RequestType type, GuestBuffer& data) {
  const bool zero = type == RequestType::kWriteZeroes;
  const std::uint32_t most_segments = zero ? kMaxZeroSegments : kMaxDiscardSegments;
  const std::uint32_t most_sectors = zero ? kMaxZeroSectors : kMaxDiscardSectors;
  if (disk_.geometry().read_only || data.size() == 0 ||
      data.size() % virtio_block::kRangeSegmentSize != 0 ||
      data.size() / virtio_block::kRangeSegmentSize > most_segments) {
    return {.status = RequestStatus::kIoError};
  }
  std::array<RangeSegment, kMaxDiscardSegments> storage;
  const auto ranges = std::span(storage).first(data.size() / virtio_block::kRangeSegmentSize);
  static_assert(kMaxZeroSegments <= kMaxDiscardSegments);
  for (auto& range : ranges) {
    take_value(data, range);
    if ((range.flags & ~(zero ? virtio_block::kRangeUnmap : 0U)) != 0) {
      return {.status = RequestStatus::kUnsupported};
    }
    if (range.sectors > most_sectors || !inside(range.sector, range.sectors)) {
      return {.status = RequestStatus::kIoError};
    }
  }
  for (const auto& range : ranges) {
    if (const auto status = change_range(type, range); status != RequestStatus::kOk) {
      return {.status = status};
    }
  }
  return {};
}

RequestStatus BlockDevice::change_range(RequestType type, const RangeSegment& range) {
  const std::uint64_t offset = range.sector * virtio_block::kSectorSize;
  const std::uint64_t length = range.sectors * virtio_block::kSectorSize;
  if (length == 0) {
    return RequestStatus::kOk;
  }
  if (type == RequestType::kDiscard) {
    return judge(disk_.discard(offset, length));
  }
  const bool unmap = (range.flags & virtio_block::kRangeUnmap) != 0;
  auto done = disk_.write_zeroes(offset, length, unmap ? Unmap::kYes : Unmap::kNo);
  if (done && write_through_) {
    done = disk_.flush();
  }
  return judge(done);
}

void BlockDevice::inspect(InspectNode& node) const {
  const auto field = [&node](std::string_view key, const std::atomic<std::uint64_t>& counter) {
    node.field(key, counter.load(std::memory_order_relaxed));
  };
  node.field("size", sectors_.load(std::memory_order_relaxed) * virtio_block::kSectorSize);
  node.field("read_only", disk_.geometry().read_only);
  field("reads", counters_.reads);
  field("writes", counters_.writes);
  field("flushes", counters_.flushes);
  field("bytes_read", counters_.bytes_read);
  field("bytes_written", counters_.bytes_written);
  field("errors", counters_.errors);
}

}  // namespace gpuvm
