// SPDX-License-Identifier: Apache-2.0
// SplitQueue and GuestBuffer. Section numbers are those of VIRTIO 1.2.
#include "devices/virtio/split_queue.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/devices/virtio/ring_driver.hpp"

namespace gpuvm::split_queue_test {
namespace {

using test::RingDriver;
using virtio::Descriptor;
using virtio::kDescriptorIndirect;
using virtio::kDescriptorNext;
using virtio::kDescriptorWrite;

class SplitQueueTest : public ::testing::Test {
 protected:
  /// The queue as the driver has set it up.
  SplitQueue& queue() {
    if (!queue_) {
      auto made = SplitQueue::create(memory_, driver_.setup());
      EXPECT_TRUE(made) << made.error().to_string();
      queue_.emplace(std::move(made).value());
    }
    return *queue_;
  }
  Result<std::optional<DescriptorChain>> pop() {
    DescriptorChain chain;
    const bool found = TRY(queue().pop(chain));
    return found ? std::optional(std::move(chain)) : std::nullopt;
  }
  /// A fresh queue whose driver has offered chain 0.
  void restart() {
    queue_.reset();
    driver_.set_index(0);
    driver_.offer(0);
  }
  /// pop() must refuse, naming `reason`.
  void expect_broken(std::string_view reason) {
    const auto chain = pop();
    ASSERT_FALSE(chain) << "expected: " << reason;
    EXPECT_NE(chain.error().message().find(reason), std::string::npos) << chain.error().message();
  }
  std::uint64_t address_of(const iovec& piece) {
    return static_cast<std::uint64_t>(static_cast<std::byte*>(piece.iov_base) -
                                      memory_.regions().front().host.data());
  }

  GuestMemory memory_ = test::make_memory();
  RingDriver driver_{memory_};
  std::optional<SplitQueue> queue_;
};

TEST_F(SplitQueueTest, AnEmptyRingGivesNothing) {
  const auto chain = pop();
  ASSERT_TRUE(chain);
  EXPECT_FALSE(*chain);
}

TEST_F(SplitQueueTest, AChainHasItsReadableThenItsWritableBuffers) {
  driver_.chain(2, {{0x10000, 16, 0, 0},
                    {0x20000, 512, 0, 0},
                    {0x30000, 1024, kDescriptorWrite, 0},
                    {0x40000, 1, kDescriptorWrite, 0}});
  driver_.offer(2);
  const auto chain = pop();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->head, 2);
  EXPECT_EQ((*chain)->readable.size(), 528U);
  EXPECT_EQ((*chain)->writable.size(), 1025U);
  ASSERT_EQ((*chain)->readable.pieces().size(), 2U);
  EXPECT_EQ(address_of((*chain)->readable.pieces()[1]), 0x20000U);
  EXPECT_EQ(address_of((*chain)->writable.pieces()[0]), 0x30000U);
  EXPECT_FALSE(*pop());
}

// 2.7.8: id names the chain, idx counts modulo 2^16, and both rings wrap.
TEST_F(SplitQueueTest, RingsAndIndicesWrap) {
  for (unsigned round = 0; round < 70000; ++round) {
    const auto head = static_cast<std::uint16_t>(round % 8);
    driver_.descriptor(head, {0x10000, 4, kDescriptorWrite, 0});
    driver_.offer(head);
    auto chain = pop();
    ASSERT_TRUE(chain && *chain) << round;
    ASSERT_EQ((*chain)->head, head);
    queue().push(head, 4);
    ASSERT_EQ(driver_.used_index(), static_cast<std::uint16_t>(round + 1));
    ASSERT_EQ(driver_.used(static_cast<std::uint16_t>(round)).id, head);
  }
}

// What is in a chain from the last time is not in the next.
TEST_F(SplitQueueTest, AChainIsFilledAnew) {
  driver_.chain(0, {{0x10000, 16, 0, 0}, {0x30000, 8, kDescriptorWrite, 0}});
  driver_.chain(4, {{0x20000, 4, 0, 0}});
  driver_.offer(0);
  driver_.offer(4);
  DescriptorChain chain;
  ASSERT_TRUE(*queue().pop(chain));
  ASSERT_TRUE(*queue().pop(chain));
  EXPECT_EQ(chain.head, 4);
  ASSERT_EQ(chain.readable.pieces().size(), 1U);
  EXPECT_EQ(address_of(chain.readable.pieces()[0]), 0x20000U);
  EXPECT_EQ(chain.writable.size(), 0U);
}

// Several chains that are one answer: one move of the index, over the end of the ring too.
TEST_F(SplitQueueTest, SeveralChainsAreUsedAtOnce) {
  for (std::uint16_t round = 0; round < 4; ++round) {
    std::array<virtio::UsedElement, 3> elements{};
    for (std::uint16_t i = 0; i < elements.size(); ++i) {
      driver_.descriptor(i, {0x10000, 4, kDescriptorWrite, 0});
      driver_.offer(i);
      ASSERT_TRUE(*pop());
      elements[i] = {.id = i, .length = i + 1U};
    }
    const auto before = driver_.used_index();
    queue().push(elements);
    EXPECT_EQ(driver_.used_index(), before + 3);
    for (std::uint16_t i = 0; i < elements.size(); ++i) {
      const auto used = driver_.used(static_cast<std::uint16_t>(before + i));
      EXPECT_EQ(used.id, i);
      EXPECT_EQ(used.length, i + 1U);
    }
    EXPECT_TRUE(queue().must_interrupt());
  }
}

TEST_F(SplitQueueTest, GoesOnWhereAnotherStopped) {
  driver_.chain(0, {{0x10000, 16, 0, 0}});
  driver_.chain(4, {{0x20000, 4, 0, 0}});
  driver_.offer(0);
  driver_.offer(4);
  ASSERT_TRUE(*pop());
  queue().push(0, 0);
  EXPECT_TRUE(queue().must_interrupt());
  ASSERT_TRUE(*pop());
  queue().unpop();
  const auto position = queue().position();
  EXPECT_EQ(position, (QueuePosition{.next_available = 1, .next_used = 1}));
  queue_.emplace(SplitQueue::create(memory_, driver_.setup(), position).value());
  EXPECT_FALSE(queue().must_interrupt());
  const auto chain = pop();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->head, 4);
  queue().push(4, 0);
  EXPECT_EQ(driver_.used_index(), 2);
  EXPECT_EQ(driver_.used(1).id, 4U);
}

TEST_F(SplitQueueTest, ZeroLengthBuffersAreLeftOut) {
  driver_.chain(0, {{0x10000, 0, 0, 0}, {0xffffffffffff0000, 0, kDescriptorWrite, 0}});
  driver_.offer(0);
  const auto chain = pop();
  ASSERT_TRUE(chain && *chain);
  EXPECT_TRUE((*chain)->readable.pieces().empty());
  EXPECT_TRUE((*chain)->writable.pieces().empty());
}

// 2.7.5.3: the buffers of the table stand in the place of the descriptor that names it.
TEST_F(SplitQueueTest, AnIndirectTableIsFollowed) {
  driver_.put(0x50000, Descriptor{0x10000, 16, kDescriptorNext, 2});
  driver_.put(0x50010, Descriptor{0x66666666, 9, 0, 0});  // not part of the chain
  driver_.put(0x50020, Descriptor{0x20000, 512, kDescriptorWrite, 0});
  // 2.7.5.3.2: the device ignores WRITE here.
  driver_.descriptor(1, {0x50000, 48, kDescriptorIndirect | kDescriptorWrite, 0});
  driver_.offer(1);
  const auto chain = pop();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->head, 1);
  EXPECT_EQ((*chain)->readable.size(), 16U);
  EXPECT_EQ((*chain)->writable.size(), 512U);
}

// 2.7.5.3.2: zero or more ordinary descriptors, then one indirect.
TEST_F(SplitQueueTest, AnIndirectTableAfterOtherDescriptors) {
  driver_.chain(0, {{0x10000, 16, 0, 0}, {0x50000, 16, kDescriptorIndirect, 0}});
  driver_.put(0x50000, Descriptor{0x20000, 1, kDescriptorWrite, 0});
  driver_.offer(0);
  const auto chain = pop();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->readable.size(), 16U);
  EXPECT_EQ((*chain)->writable.size(), 1U);
}

// Linux fills a table as long as the queue: the descriptor that names it does not count.
TEST_F(SplitQueueTest, AnIndirectTableOfFullLength) {
  for (unsigned i = 0; i < 8; ++i) {
    driver_.put(0x60000 + i * 16U,
                Descriptor{0x20000, 1, i < 7 ? kDescriptorNext : std::uint16_t{0},
                           static_cast<std::uint16_t>(i + 1)});
  }
  driver_.descriptor(4, {0x60000, 128, kDescriptorIndirect, 0});
  driver_.offer(4);
  const auto chain = pop();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->readable.size(), 8U);
}

TEST_F(SplitQueueTest, ALoopEnds) {
  driver_.descriptor(0, {0x10000, 1, kDescriptorNext, 1});
  driver_.descriptor(1, {0x10000, 1, kDescriptorNext, 0});
  driver_.offer(0);
  expect_broken("has no end");
}

TEST_F(SplitQueueTest, ALoopInAnIndirectTableEnds) {
  driver_.put(0x50000, Descriptor{0x10000, 1, kDescriptorNext, 0});
  driver_.descriptor(0, {0x50000, 16, kDescriptorIndirect, 0});
  driver_.offer(0);
  expect_broken("has no end");
}

TEST_F(SplitQueueTest, IndicesPastTheTableAreRefused) {
  driver_.offer(8);
  expect_broken("Descriptor 8 of a table of 8");
  driver_.descriptor(0, {0x10000, 1, kDescriptorNext, 0xffff});
  restart();
  expect_broken("Descriptor 65535 of a table of 8");
  driver_.put(0x50000, Descriptor{0x10000, 1, kDescriptorNext, 1});
  driver_.descriptor(0, {0x50000, 16, kDescriptorIndirect, 0});
  restart();
  expect_broken("Descriptor 1 of a table of 1");
}

TEST_F(SplitQueueTest, MoreChainsThanTheRingHolds) {
  driver_.set_index(9);
  expect_broken("9 chains are available in a queue of 8");
}

// 2.7.4.2
TEST_F(SplitQueueTest, AReadableBufferAfterAWritableOneIsRefused) {
  driver_.chain(0, {{0x10000, 1, kDescriptorWrite, 0}, {0x10000, 1, 0, 0}});
  driver_.offer(0);
  expect_broken("a buffer to read after one to write");
}

TEST_F(SplitQueueTest, BuffersOutsideMemoryAreRefused) {
  const Descriptor bad[] = {{2_MiB, 1, 0, 0},
                            {2_MiB - 1, 2, 0, 0},
                            {0, 0xffffffff, 0, 0},
                            {~std::uint64_t{0}, 1, 0, 0},
                            {~std::uint64_t{0} - 10, 100, kDescriptorWrite, 0}};
  for (const auto& descriptor : bad) {
    driver_.descriptor(0, descriptor);
    restart();
    expect_broken("is outside memory");
  }
}

TEST_F(SplitQueueTest, ImpossibleIndirectTablesAreRefused) {
  const Descriptor bad[] = {{0x50000, 0, kDescriptorIndirect, 0},
                            {0x50000, 15, kDescriptorIndirect, 0},
                            {2_MiB - 16, 32, kDescriptorIndirect, 0},
                            {~std::uint64_t{15}, 16, kDescriptorIndirect, 0}};
  for (const auto& descriptor : bad) {
    driver_.descriptor(0, descriptor);
    restart();
    expect_broken("is impossible");
  }
}

// 2.7.5.3.1: no INDIRECT inside a table, none with NEXT, none unless negotiated.
TEST_F(SplitQueueTest, IndirectDescriptorsWhereTheyMayNotBe) {
  driver_.put(0x50000, Descriptor{0x50000, 16, kDescriptorIndirect, 0});
  driver_.descriptor(0, {0x50000, 16, kDescriptorIndirect, 0});
  restart();
  expect_broken("may not be indirect");
  driver_.descriptor(0, {0x60000, 16, kDescriptorIndirect | kDescriptorNext, 1});
  restart();
  expect_broken("may not be indirect");
  driver_.setup().indirect = false;
  driver_.descriptor(0, {0x60000, 16, kDescriptorIndirect, 0});
  restart();
  expect_broken("may not be indirect");
}

TEST_F(SplitQueueTest, ImpossibleSetupsAreRefused) {
  const auto refused = [this](auto change) {
    auto setup = driver_.setup();
    change(setup);
    const auto made = SplitQueue::create(memory_, setup);
    return !made && made.error().kind() == ErrorKind::kGuest;
  };
  using Setup = SplitQueueSetup;
  EXPECT_TRUE(refused([](Setup& s) { s.size = 0; }));
  EXPECT_TRUE(refused([](Setup& s) { s.size = 6; }));
  EXPECT_TRUE(refused([](Setup& s) { s.descriptors = GuestAddress(0x1008); }));
  EXPECT_TRUE(refused([](Setup& s) { s.available = GuestAddress(0x3001); }));
  EXPECT_TRUE(refused([](Setup& s) { s.used = GuestAddress(0x4002); }));
  EXPECT_TRUE(refused([](Setup& s) { s.descriptors = GuestAddress(2_MiB - 112); }));
  EXPECT_TRUE(refused([](Setup& s) { s.used = GuestAddress(~std::uint64_t{3}); }));
  // The last bytes of the used ring are avail_event.
  EXPECT_FALSE(refused([](Setup& s) { s.used = GuestAddress(2_MiB - 72); }));
  EXPECT_TRUE(refused([](Setup& s) { s.used = GuestAddress(2_MiB - 68); }));
}

// 2.7.7.2 without VIRTIO_F_EVENT_IDX: flags 1 asks for no notification.
TEST_F(SplitQueueTest, InterruptsFollowTheFlags) {
  EXPECT_FALSE(queue().must_interrupt());
  queue().push(0, 0);
  EXPECT_TRUE(queue().must_interrupt());
  EXPECT_FALSE(queue().must_interrupt());
  driver_.set_flags(virtio::kAvailableNoInterrupt);
  queue().push(0, 0);
  EXPECT_FALSE(queue().must_interrupt());
}

// 2.7.7.2 with it: once the index passes used_event.
TEST_F(SplitQueueTest, InterruptsFollowUsedEvent) {
  driver_.setup().event_index = true;
  driver_.set_flags(virtio::kAvailableNoInterrupt);  // must be ignored
  driver_.set_used_event(1);
  queue().push(0, 0);
  EXPECT_FALSE(queue().must_interrupt());
  queue().push(1, 0);
  EXPECT_TRUE(queue().must_interrupt());
  queue().push(2, 0);
  EXPECT_FALSE(queue().must_interrupt());
  driver_.set_used_event(4);
  queue().push(3, 0);
  queue().push(4, 0);
  queue().push(5, 0);
  EXPECT_TRUE(queue().must_interrupt());  // passed in a batch
}

// 2.7.10
TEST_F(SplitQueueTest, DoorbellsAreAskedForByFlag) {
  EXPECT_FALSE(queue().want_doorbell(false));
  EXPECT_EQ(driver_.used_flags(), virtio::kUsedNoNotify);
  EXPECT_FALSE(queue().want_doorbell(true));
  EXPECT_EQ(driver_.used_flags(), 0);
  driver_.descriptor(0, {0x10000, 1, 0, 0});
  driver_.offer(0);
  EXPECT_TRUE(queue().want_doorbell(true));  // came without a ring
}

// 2.7.10: with VIRTIO_F_EVENT_IDX flags stay 0.
TEST_F(SplitQueueTest, DoorbellsAreAskedForByEvent) {
  driver_.setup().event_index = true;
  driver_.descriptor(0, {0x10000, 1, 0, 0});
  driver_.offer(0);
  EXPECT_TRUE(queue().want_doorbell(true));
  ASSERT_TRUE(*pop());
  EXPECT_FALSE(queue().want_doorbell(false));
  EXPECT_EQ(driver_.available_event(), 0);
  EXPECT_FALSE(queue().want_doorbell(true));
  EXPECT_EQ(driver_.available_event(), 1);
  EXPECT_EQ(driver_.used_flags(), 0);
}

TEST(GuestBuffer, TakesAcrossPieces) {
  std::array<std::byte, 8> memory{};
  for (std::size_t i = 0; i < memory.size(); ++i) {
    memory[i] = static_cast<std::byte>(i);
  }
  const std::span<std::byte> bytes(memory);
  GuestBuffer buffer;
  buffer.append(bytes.first(1));
  buffer.append(bytes.subspan(1, 0));
  buffer.append(bytes.subspan(1, 3));
  buffer.append(bytes.subspan(4, 4));
  EXPECT_EQ(buffer.size(), 8U);
  EXPECT_EQ(buffer.pieces().size(), 3U);
  std::array<std::byte, 5> out{};
  ASSERT_TRUE(buffer.take(out));
  EXPECT_EQ(out[4], std::byte{4});
  EXPECT_EQ(buffer.pieces().size(), 1U);
  EXPECT_FALSE(buffer.take(out));
  EXPECT_EQ(buffer.size(), 3U);
  EXPECT_EQ(buffer.take_last(), &memory[7]);
  EXPECT_EQ(buffer.size(), 2U);
  const std::array<std::byte, 4> in = {std::byte{9}, std::byte{9}, std::byte{9}, std::byte{9}};
  EXPECT_EQ(buffer.fill(in), 2U);
  EXPECT_EQ(memory[6], std::byte{9});
  EXPECT_EQ(memory[7], std::byte{7});
  EXPECT_NE(buffer.take_last(), nullptr);
  EXPECT_NE(buffer.take_last(), nullptr);
  EXPECT_EQ(buffer.take_last(), nullptr);
}

}  // namespace
}  // namespace gpuvm::split_queue_test
