// SPDX-License-Identifier: Apache-2.0
// BlockDevice over a disk in memory that records what is asked of it. Section numbers are those of
// VIRTIO 1.2.
#include "devices/virtio/block/block_device.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::block_device_test {
namespace {

using virtio_block::RangeSegment;
using virtio_block::RequestHeader;
using virtio_block::RequestType;

constexpr std::uint8_t kOk = 0;
constexpr std::uint8_t kIoError = 1;
constexpr std::uint8_t kUnsupported = 2;

class MemoryDisk : public Disk {
 public:
  explicit MemoryDisk(Geometry geometry) : bytes(geometry.size), geometry_(geometry) {}
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override {
    return transfer("read", offset, pieces, [](std::byte* disk, const iovec& piece) {
      std::memcpy(piece.iov_base, disk, piece.iov_len);
    });
  }
  Status write(std::uint64_t offset, std::span<const iovec> pieces) override {
    return transfer("write", offset, pieces, [](std::byte* disk, const iovec& piece) {
      std::memcpy(disk, piece.iov_base, piece.iov_len);
    });
  }
  Status flush() override { return note("flush"); }
  Status discard(std::uint64_t offset, std::uint64_t length) override {
    return note(fmt::format("discard {}+{}", offset, length));
  }
  Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) override {
    return note(fmt::format("zero {}+{}{}", offset, length, unmap == Unmap::kYes ? " unmap" : ""));
  }
  std::vector<std::byte> bytes;
  std::vector<std::string> history;
  bool fails = false;

 private:
  Status note(std::string what) {
    history.push_back(std::move(what));
    return fails ? Status(fail(ErrorKind::kHost, "Input/output error")) : Status();
  }
  template <class Copy>
  Status transfer(const char* what, std::uint64_t offset, std::span<const iovec> pieces,
                  Copy copy) {
    std::uint64_t length = 0;
    for (const auto& piece : pieces) {
      EXPECT_LE(offset + length + piece.iov_len, bytes.size());
      if (!fails) {
        copy(bytes.data() + offset + length, piece);
      }
      length += piece.iov_len;
    }
    return note(fmt::format("{} {}+{}", what, offset, length));
  }
  const Geometry geometry_;
};

/// Of requests that are done at once.
struct NobodyWaits : RequestSink {
  void complete(std::span<const Completion>) override { ADD_FAILURE(); }
  void release(QueueRequest&) override { ADD_FAILURE(); }
};

/// Where somebody waits for the queue to rest.
struct SomebodyWaits : NobodyWaits {
  bool is_stopping(std::size_t) const override { return true; }
};

class BlockDeviceTest : public ::testing::Test {
 protected:
  using History = std::vector<std::string>;

  BlockDeviceTest() { device_.start(device_.identity().features); }

  struct Answer {
    std::uint8_t status = 0xff;
    std::uint32_t written = 0;
  };
  /// One request with `out` for the device and `in` from it, cut into pieces of `cut` bytes.
  Answer request(BlockDevice& device, RequestHeader header, std::span<std::byte> out,
                 std::span<std::byte> in, std::size_t cut = 4096) {
    QueueRequest made(sink_, 0);
    DescriptorChain& chain = made.chain;
    std::vector<std::byte> readable(sizeof header + out.size());
    std::memcpy(readable.data(), &header, sizeof header);
    std::copy(out.begin(), out.end(), readable.begin() + sizeof header);
    std::vector<std::byte> writable(in.begin(), in.end());
    writable.push_back(std::byte{0xff});
    const auto pieces = [cut](std::span<std::byte> bytes, GuestBuffer& buffer) {
      for (; !bytes.empty(); bytes = bytes.subspan(std::min(cut, bytes.size()))) {
        buffer.append(bytes.first(std::min(cut, bytes.size())));
      }
    };
    pieces(readable, chain.readable);
    pieces(writable, chain.writable);
    const auto executed = device.execute(made);
    EXPECT_TRUE(executed && executed->is_done);
    std::copy(writable.begin(), writable.end() - 1, in.begin());
    return {.status = static_cast<std::uint8_t>(writable.back()), .written = executed->written};
  }
  Answer request(RequestType type, std::uint64_t sector, std::span<std::byte> out,
                 std::span<std::byte> in, std::size_t cut = 4096) {
    return request(device_, {.type = static_cast<std::uint32_t>(type), .sector = sector}, out, in,
                   cut);
  }
  Answer change(RequestType type, std::vector<RangeSegment> ranges) {
    return request(type, 0, std::as_writable_bytes(std::span(ranges)), {});
  }
  static std::uint64_t config(BlockDevice& device, std::size_t offset, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    device.config().read(offset, std::span(bytes).first(size));
    return load_le(std::span(bytes).first(size));
  }

  RequestSink* sink_ = &nobody_waits_;
  NobodyWaits nobody_waits_;
  SomebodyWaits somebody_waits_;
  MemoryDisk disk_{{.size = 1_MiB, .block_size = 4096}};
  BlockDevice device_{"disk-0", "gpuvm-disk-0", disk_};
  MemoryDisk fixed_disk_{{.size = 1_MiB, .read_only = true}};
  BlockDevice fixed_{"disk-1", "a name that is much too long", fixed_disk_};
};

// 5.2.4
TEST_F(BlockDeviceTest, ConfigurationStructure) {
  EXPECT_EQ(device_.identity().type, 2U);
  EXPECT_EQ(config(device_, 0, 8), 2048U);
  EXPECT_EQ(config(device_, 12, 4), 254U);
  EXPECT_EQ(config(device_, 20, 4), 4096U);
  EXPECT_EQ(config(device_, 36, 4), BlockDevice::kMaxDiscardSectors);
  EXPECT_EQ(config(device_, 40, 4), BlockDevice::kMaxDiscardSegments);
  EXPECT_EQ(config(device_, 48, 4), BlockDevice::kMaxZeroSectors);
  EXPECT_EQ(config(device_, 52, 4), BlockDevice::kMaxZeroSegments);
  EXPECT_EQ(config(device_, 56, 1), 1U);
  EXPECT_EQ(config(device_, 57, 1), 0U);  // 5.2.5.2: unused bytes are 0
  EXPECT_EQ(config(fixed_, 36, 4), 0U);
}

// "Number of queues is num_queues if VIRTIO_BLK_F_MQ is negotiated, else 1." (5.2.2)
TEST_F(BlockDeviceTest, SeveralQueues) {
  BlockDevice several("disk-2", "serial", disk_, {.queues = 3});
  EXPECT_EQ(several.identity().queues, 3U);
  EXPECT_NE(several.identity().features & virtio_block::kFeatureMultiQueue, 0U);
  EXPECT_EQ(config(several, 34, 2), 3U);
  EXPECT_EQ(device_.identity().features & virtio_block::kFeatureMultiQueue, 0U);
  EXPECT_EQ(config(device_, 34, 2), 0U);
}

TEST_F(BlockDeviceTest, ADiskThatKeepsItsSpaceIsNotTrimmed) {
  MemoryDisk disk({.size = 1_MiB, .discard = false});
  BlockDevice device("disk-2", "serial", disk);
  device.start(device.identity().features);
  EXPECT_EQ(device.identity().features & virtio_block::kFeatureDiscard, 0U);
  EXPECT_NE(device.identity().features & virtio_block::kFeatureWriteZeroes, 0U);
  EXPECT_EQ(config(device, 56, 1), 0U);
  std::vector<RangeSegment> range = {{0, 8, 0}};
  const auto bytes = std::as_writable_bytes(std::span(range));
  EXPECT_EQ(request(device, {.type = 11}, bytes, {}).status, kUnsupported);
  range[0].flags = 1;
  EXPECT_EQ(request(device, {.type = 13}, bytes, {}).status, kOk);
  EXPECT_EQ(disk.history, (History{"zero 0+4096"}));
}

TEST_F(BlockDeviceTest, OffersReadOnlyOrWhatChangesADisk) {
  constexpr auto kChanges = virtio_block::kFeatureDiscard | virtio_block::kFeatureWriteZeroes;
  EXPECT_EQ(device_.identity().features & kChanges, kChanges);
  EXPECT_EQ(device_.identity().features & virtio_block::kFeatureReadOnly, 0U);
  EXPECT_EQ(fixed_.identity().features & kChanges, 0U);
  EXPECT_NE(fixed_.identity().features & virtio_block::kFeatureReadOnly, 0U);
  EXPECT_NE(fixed_.identity().features & virtio_block::kFeatureFlush, 0U);
}

// 5.2.6, and 2.7.4.1: however the driver cuts header, data and status.
TEST_F(BlockDeviceTest, WritesAndReadsHoweverCut) {
  for (const std::size_t cut : {1U, 7U, 16U, 512U, 513U, 4096U}) {
    std::vector<std::byte> data(1536);
    for (std::size_t i = 0; i < data.size(); ++i) {
      data[i] = static_cast<std::byte>(i * 7 + cut);
    }
    EXPECT_EQ(request(RequestType::kWrite, 3, data, {}, cut).status, kOk);
    EXPECT_EQ(std::memcmp(disk_.bytes.data() + 1536, data.data(), data.size()), 0);
    std::vector<std::byte> back(1536);
    const auto answer = request(RequestType::kRead, 3, {}, back, cut);
    EXPECT_EQ(answer.status, kOk);
    EXPECT_EQ(answer.written, 1537U);
    EXPECT_EQ(back, data);
  }
}

// 5.2.6.2: a write is stable once a later flush has completed, so nothing may overtake it.
TEST_F(BlockDeviceTest, AFlushComesAfterTheWritesBeforeIt) {
  std::vector<std::byte> sector(512);
  request(RequestType::kWrite, 0, sector, {});
  request(RequestType::kWrite, 1, sector, {});
  EXPECT_EQ(request(RequestType::kFlush, 0, {}, {}).status, kOk);
  request(RequestType::kWrite, 2, sector, {});
  EXPECT_EQ(disk_.history, (History{"write 0+512", "write 512+512", "flush", "write 1024+512"}));
}

// 5.2.6.2, case 1: FLUSH offered and not accepted, so each write is stable when it completes.
TEST_F(BlockDeviceTest, WithoutFlushEveryWriteIsMadeStable) {
  device_.start(virtio::kFeatureVersion1);
  std::vector<std::byte> sector(512);
  EXPECT_EQ(request(RequestType::kWrite, 0, sector, {}).status, kOk);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{8, 8, 0}}).status, kOk);
  EXPECT_EQ(disk_.history, (History{"write 0+512", "flush", "zero 4096+4096", "flush"}));
}

TEST_F(BlockDeviceTest, RequestsPastTheEndAreErrorsAndTouchNothing) {
  std::vector<std::byte> two(1024);
  struct Place {
    std::uint64_t sector;
    std::size_t size;
  };
  for (const auto& place : {Place{2047, 1024}, Place{2048, 512}, Place{~std::uint64_t{0}, 512},
                            Place{std::uint64_t{1} << 55, 512}, Place{0, 511}, Place{0, 1}}) {
    const auto data = std::span(two).first(place.size);
    EXPECT_EQ(request(RequestType::kRead, place.sector, {}, data).status, kIoError);
    EXPECT_EQ(request(RequestType::kWrite, place.sector, data, {}).status, kIoError);
  }
  EXPECT_TRUE(disk_.history.empty());
  EXPECT_EQ(request(RequestType::kRead, 2047, {}, std::span(two).first(512)).status, kOk);
}

// "A device MUST set the status byte to VIRTIO_BLK_S_IOERR for a write request if … RO … is
// offered, and MUST NOT write any data."
TEST_F(BlockDeviceTest, AReadOnlyDiskRefusesWrites) {
  fixed_.start(fixed_.identity().features);
  std::vector<std::byte> sector(512);
  std::vector<RangeSegment> range = {{0, 8, 0}};
  const auto bytes = std::as_writable_bytes(std::span(range));
  EXPECT_EQ(request(fixed_, {.type = 1}, sector, {}).status, kIoError);
  EXPECT_EQ(request(fixed_, {.type = 11}, bytes, {}).status, kIoError);
  EXPECT_EQ(request(fixed_, {.type = 13}, bytes, {}).status, kIoError);
  EXPECT_TRUE(fixed_disk_.history.empty());
  EXPECT_EQ(request(fixed_, {.type = 4}, {}, {}).status, kOk);
  EXPECT_EQ(request(fixed_, {.type = 0}, {}, sector).status, kOk);
  EXPECT_EQ(fixed_disk_.history, (History{"read 0+512"}));
}

TEST_F(BlockDeviceTest, WhatTheDiskCannotIsAnIoError) {
  disk_.fails = true;
  std::vector<std::byte> sector(512);
  const auto answer = request(RequestType::kRead, 0, {}, sector);
  EXPECT_EQ(answer.status, kIoError);
  EXPECT_EQ(answer.written, 0U);  // 2.7.8.2: never more than what was written at the front
  EXPECT_EQ(request(RequestType::kWrite, 0, sector, {}).status, kIoError);
  EXPECT_EQ(request(RequestType::kFlush, 0, {}, {}).status, kIoError);
  EXPECT_EQ(change(RequestType::kDiscard, {{0, 8, 0}}).status, kIoError);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{0, 8, 0}}).status, kIoError);
  InspectNode node;
  device_.inspect(node);
  EXPECT_EQ(node.get("errors"), "5");
}

TEST_F(BlockDeviceTest, TheIdIsPaddedOrFull) {
  std::vector<std::byte> id(20, std::byte{0xee});
  const auto answer = request(RequestType::kGetId, 0, {}, id);
  EXPECT_EQ(answer.status, kOk);
  EXPECT_EQ(answer.written, 21U);
  EXPECT_EQ(std::memcmp(id.data(), "gpuvm-disk-0\0\0\0\0\0\0\0\0", 20), 0);
  EXPECT_EQ(request(fixed_, {.type = 8}, {}, id).status, kOk);
  EXPECT_EQ(std::memcmp(id.data(), "a name that is much ", 20), 0);
  EXPECT_EQ(request(RequestType::kGetId, 0, {}, std::span(id).first(3)).written, 4U);
}

TEST_F(BlockDeviceTest, DiscardAndWriteZeroes) {
  EXPECT_EQ(change(RequestType::kDiscard, {{0, 8, 0}, {16, 0, 0}, {2040, 8, 0}}).status, kOk);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{8, 8, 0}}).status, kOk);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{8, 8, 1}}).status, kOk);
  EXPECT_EQ(disk_.history, (History{"discard 0+4096", "discard 1044480+4096", "zero 4096+4096",
                                    "zero 4096+4096 unmap"}));
}

// A discard of a block device may take long, and is a hint; all else is to be done.
TEST_F(BlockDeviceTest, WhoeverWaitsForARestIsSparedDiscards) {
  sink_ = &somebody_waits_;
  EXPECT_EQ(change(RequestType::kDiscard, {{0, 8, 0}, {16, 8, 0}}).status, kOk);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{8, 8, 0}}).status, kOk);
  EXPECT_EQ(disk_.history, (History{"zero 4096+4096"}));
}

// Zeroes are written, and each flush is work for the storage: neither is a way past the limits.
TEST_F(BlockDeviceTest, LimitsAreForZeroesAndFlushesToo) {
  BlockDevice slow("disk-2", "serial", disk_, {.limits = {.bytes = 1_MiB}});
  slow.start(slow.identity().features);
  EXPECT_EQ(slow.rest_of(0).count(), 0);
  RangeSegment all{0, 2048, 0};
  const auto type = static_cast<std::uint32_t>(RequestType::kWriteZeroes);
  EXPECT_EQ(request(slow, {.type = type}, std::as_writable_bytes(std::span(&all, 1)), {}).status,
            kOk);
  EXPECT_GT(slow.rest_of(0).count(), 0);
  BlockDevice rare("disk-3", "serial", disk_, {.limits = {.requests = 10}});
  rare.start(rare.identity().features);
  for (unsigned i = 0; i < 10; ++i) {
    request(rare, {.type = static_cast<std::uint32_t>(RequestType::kFlush)}, {}, {});
  }
  EXPECT_GT(rare.rest_of(0).count(), 0);
}

// Nor is what the disk has nothing to do with, such as its name or a request that cannot be.
TEST_F(BlockDeviceTest, LimitsAreForAllRequests) {
  for (const auto type : {RequestType::kGetId, static_cast<RequestType>(99)}) {
    BlockDevice rare("disk-3", "serial", disk_, {.limits = {.requests = 10}});
    rare.start(rare.identity().features);
    std::vector<std::byte> id(20);
    for (unsigned i = 0; i < 10; ++i) {
      request(rare, {.type = static_cast<std::uint32_t>(type)}, {}, id);
    }
    EXPECT_GT(rare.rest_of(0).count(), 0) << static_cast<unsigned>(type);
  }
}

// "The device MUST set the status byte to VIRTIO_BLK_S_UNSUPP … if any unknown flag is set.
// Furthermore … for discard commands if the unmap flag is set."
TEST_F(BlockDeviceTest, RangesThatCannotBeChangeNothing) {
  const RangeSegment good{0, 8, 0};
  EXPECT_EQ(change(RequestType::kDiscard, {good, {0, 8, 1}}).status, kUnsupported);
  EXPECT_EQ(change(RequestType::kDiscard, {good, {0, 8, 2}}).status, kUnsupported);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{0, 8, 3}}).status, kUnsupported);
  EXPECT_EQ(change(RequestType::kDiscard, {good, {2041, 8, 0}}).status, kIoError);
  EXPECT_EQ(change(RequestType::kDiscard, {good, {~std::uint64_t{0}, 8, 0}}).status, kIoError);
  EXPECT_EQ(change(RequestType::kDiscard, {good, {0, 0xffffffff, 0}}).status, kIoError);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {{0, BlockDevice::kMaxZeroSectors + 1, 0}}).status,
            kIoError);
  EXPECT_EQ(change(RequestType::kWriteZeroes, {good, good}).status, kIoError);
  EXPECT_EQ(change(RequestType::kDiscard, std::vector<RangeSegment>(17, good)).status, kIoError);
  EXPECT_EQ(change(RequestType::kDiscard, {}).status, kIoError);
  std::vector<std::byte> odd(24);
  EXPECT_EQ(request(RequestType::kDiscard, 0, odd, {}).status, kIoError);
  EXPECT_TRUE(disk_.history.empty());
}

TEST_F(BlockDeviceTest, UnknownRequestsAreUnsupported) {
  std::vector<std::byte> data(512);
  for (const std::uint32_t type : {2U, 3U, 5U, 10U, 14U, 0x80000000U, 0xffffffffU}) {
    EXPECT_EQ(request(device_, {.type = type}, data, data).status, kUnsupported) << type;
  }
  EXPECT_TRUE(disk_.history.empty());
}

// 5.2.4: capacity; 2.5.3: the generation by which a driver that reads it by halves notices.
TEST_F(BlockDeviceTest, AResizeIsSeenAndAnnounced) {
  unsigned announced = 0;
  device_.config().set_listener([&announced] { ++announced; });
  std::vector<std::byte> sector(512);
  EXPECT_EQ(request(RequestType::kRead, 2000, {}, sector).status, kOk);
  const auto generation = device_.config().generation();
  device_.resize(512_KiB);
  EXPECT_EQ(announced, 1U);
  EXPECT_NE(device_.config().generation(), generation);
  EXPECT_EQ(config(device_, 0, 8), 1024U);
  EXPECT_EQ(request(RequestType::kRead, 2000, {}, sector).status, kIoError);
  device_.resize(1_MiB);
  EXPECT_EQ(config(device_, 0, 8), 2048U);
  EXPECT_EQ(request(RequestType::kRead, 2000, {}, sector).status, kOk);
  device_.config().set_listener({});
  device_.resize(512_KiB);
  EXPECT_EQ(announced, 2U);
}

// Nothing can be answered without a status byte: the ring is broken.
TEST_F(BlockDeviceTest, ARequestWithoutHeaderOrStatusIsNone) {
  std::array<std::byte, 32> bytes{};
  QueueRequest no_status(nullptr, 0);
  no_status.chain.readable.append(bytes);
  EXPECT_EQ(device_.execute(no_status).error().kind(), ErrorKind::kGuest);
  QueueRequest short_header(nullptr, 0);
  short_header.chain.readable.append(std::span(bytes).first(15));
  short_header.chain.writable.append(std::span(bytes).last(1));
  EXPECT_FALSE(device_.execute(short_header));
}

}  // namespace
}  // namespace gpuvm::block_device_test
