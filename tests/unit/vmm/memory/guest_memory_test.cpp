// SPDX-License-Identifier: Apache-2.0
// Guest RAM with ordinary pages. Huge pages need the administrator's reservation and are tested in
// the lab.
#include "vmm/memory/guest_memory.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <limits>

#include "tests/fixtures/vm_flags.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::guest_memory_test {
namespace {

std::array<std::byte, 4> four(int value) {
  std::array<std::byte, 4> bytes{};
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

TEST(GuestMemory, SmallIsOneRegion) {
  const auto memory = GuestMemory::create({.size = 128_MiB});
  ASSERT_TRUE(memory) << memory.error().to_string();
  ASSERT_EQ(memory->regions().size(), 1U);
  EXPECT_EQ(memory->regions()[0].range, *GuestRange::create(GuestAddress(0), 128_MiB));
  EXPECT_EQ(memory->regions()[0].file_offset, 0U);
}

TEST(GuestMemory, IsInNoCoreDump) {
  for (const bool is_shared : {false, true}) {
    const auto memory =
        GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB, .is_shared = is_shared});
    ASSERT_TRUE(memory) << memory.error().to_string();
    for (const auto& region : memory->regions()) {
      EXPECT_TRUE(test::has_vm_flag(region.host.data(), "dd"));
      EXPECT_TRUE(test::has_vm_flag(&region.host.back(), "dd"));
    }
  }
}

// As a vfio-user server has it, which runs on when the guest has ended.
TEST(GuestMemory, WhoElseHasItFindsNothingOfTheGuestAfterwards) {
  UniqueFd other;
  MappedRegion view;
  {
    const auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB, .is_shared = true});
    ASSERT_TRUE(memory) << memory.error().to_string();
    other.reset(::dup(memory->fd()));
    auto mapped = MappedRegion::create({.fd = other.get(), .size = 6_MiB});
    ASSERT_TRUE(mapped);
    view = std::move(*mapped);
    ASSERT_TRUE(memory->write(GuestAddress(4_MiB - 4), four(7)));
    ASSERT_TRUE(memory->write(GuestAddress(4_GiB), four(8)));
    ASSERT_EQ(view.bytes()[4_MiB - 1], std::byte{7});
  }
  for (const std::size_t at : {4_MiB - 1, 4_MiB}) {
    EXPECT_EQ(view.bytes()[at], std::byte{0}) << at;
  }
}

TEST(GuestMemory, LargeLeavesTheHoleBelow4GiB) {
  const auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB});
  ASSERT_TRUE(memory) << memory.error().to_string();
  ASSERT_EQ(memory->regions().size(), 2U);
  EXPECT_EQ(memory->regions()[0].range, *GuestRange::create(GuestAddress(0), 4_MiB));
  EXPECT_EQ(memory->regions()[1].range, *GuestRange::create(GuestAddress(4_GiB), 2_MiB));
  EXPECT_EQ(memory->regions()[1].file_offset, 4_MiB);
  EXPECT_EQ(memory->regions()[1].host.size(), 2_MiB);
  const auto exact = GuestMemory::create({.size = 4_MiB, .low_limit = 4_MiB});
  EXPECT_EQ(exact->regions().size(), 1U);
}

// AMD's processors and IOMMUs have HyperTransport's addresses there: 12 GiB below 1 TiB.
TEST(GuestMemory, LeavesAmdsHoleBelow1TiBOut) {
  const auto memory = GuestMemory::create({.size = 1100_GiB});
  ASSERT_TRUE(memory) << memory.error().to_string();
  ASSERT_EQ(memory->regions().size(), 3U);
  EXPECT_EQ(memory->regions()[1].range, *GuestRange::create(GuestAddress(4_GiB), 1008_GiB));
  EXPECT_EQ(memory->regions()[2].range, *GuestRange::create(GuestAddress(1024_GiB), 90_GiB));
  EXPECT_EQ(memory->regions()[2].file_offset, 1010_GiB);
  EXPECT_EQ(memory->regions()[2].host.size(), 90_GiB);
  EXPECT_FALSE(memory->slice(GuestAddress(1012_GiB), 1));
  EXPECT_FALSE(memory->slice(GuestAddress(1012_GiB - 1), 2));
  EXPECT_TRUE(memory->slice(GuestAddress(1024_GiB), 90_GiB));
  const auto fits = GuestMemory::create({.size = 1010_GiB});
  ASSERT_EQ(fits->regions().size(), 2U);
  EXPECT_EQ(fits->regions()[1].range.last(), GuestAddress(1012_GiB - 1));
}

TEST(GuestMemory, RefusesOddSizesAndLimits) {
  EXPECT_FALSE(GuestMemory::create({.size = 0}));
  EXPECT_FALSE(GuestMemory::create({.size = 1_MiB}));
  EXPECT_FALSE(GuestMemory::create({.size = 3_MiB}));
  EXPECT_FALSE(GuestMemory::create({.size = 4_MiB, .low_limit = 3_GiB}));
  EXPECT_FALSE(GuestMemory::create({.size = 4_MiB, .low_limit = 2_MiB + 1}));
  EXPECT_FALSE(GuestMemory::create({.size = 1026_MiB, .huge_pages = HugePages::k1GiB}));
}

// low_limit 0 would make a region of no bytes, which no range can express.
TEST(GuestMemory, RefusesALowLimitOfZero) {
  EXPECT_FALSE(GuestMemory::create({.size = 4_MiB, .low_limit = 0}));
}

TEST(GuestMemory, ReadsAndWritesWithinOneRegionOnly) {
  const auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB});
  ASSERT_TRUE(memory);
  const auto in = four(0x5a);
  auto out = four(0);
  for (const std::uint64_t at : {std::uint64_t{0}, 4_MiB - 4, 4_GiB, 4_GiB + 2_MiB - 4}) {
    out = four(0);
    EXPECT_TRUE(memory->write(GuestAddress(at), in)) << at;
    EXPECT_TRUE(memory->read(GuestAddress(at), out)) << at;
    EXPECT_EQ(out, in);
  }
  const auto before = four(7);
  for (const std::uint64_t at :
       {4_MiB - 3, 4_MiB, 2_GiB, 4_GiB - 1, 4_GiB + 2_MiB - 3, 4_GiB + 2_MiB,
        std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 3}) {
    out = before;
    EXPECT_FALSE(memory->write(GuestAddress(at), in)) << at;
    EXPECT_FALSE(memory->read(GuestAddress(at), out)) << at;
    EXPECT_EQ(out, before) << "a failed read must not touch its target";
  }
  out = four(0);
  EXPECT_TRUE(memory->read(GuestAddress(4_MiB - 4), out));
  EXPECT_EQ(out, in) << "a failed write must not write a part";
}

TEST(GuestMemory, Slices) {
  const auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB});
  ASSERT_TRUE(memory);
  const auto high = memory->slice(GuestAddress(4_GiB + 16), 16);
  ASSERT_TRUE(high);
  EXPECT_EQ(high->data(), memory->regions()[1].host.data() + 16);
  EXPECT_EQ(high->size(), 16U);
  EXPECT_EQ(memory->slice(GuestAddress(0), 4_MiB)->size(), 4_MiB);
  EXPECT_FALSE(memory->slice(GuestAddress(0), 4_MiB + 1));
  EXPECT_FALSE(memory->slice(GuestAddress(1), std::numeric_limits<std::uint64_t>::max()));
  EXPECT_TRUE(memory->slice(GuestAddress(0), 0)->empty());
  EXPECT_FALSE(memory->slice(GuestAddress(4_MiB), 0));
}

// A process that made the file smaller would end ours at its next access.
TEST(GuestMemory, SharedMemoryKeepsItsSize) {
  auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB, .is_shared = true});
  ASSERT_TRUE(memory) << memory.error().to_string();
  EXPECT_NE(::ftruncate(memory->fd(), 4096), 0);
  EXPECT_NE(::ftruncate(memory->fd(), 16 << 20), 0);
  EXPECT_TRUE(memory->write(GuestAddress(4_GiB + 4), four(9)));
}

TEST(GuestMemory, ComesFromANodeOfTheHost) {
  auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB});
  ASSERT_TRUE(memory);
  const auto high = *GuestRange::create(GuestAddress(4_GiB), 2_MiB);
  const auto placed = memory->place_on_node(high, 0, NodePolicy::kBind);
  if (!placed && placed.error().to_string().find("Function not implemented") != std::string::npos) {
    GTEST_SKIP() << "skipped: this kernel knows no NUMA";
  }
  EXPECT_TRUE(placed) << placed.error().to_string();
  EXPECT_TRUE(memory->place_on_node(high, 0, NodePolicy::kPrefer));
  EXPECT_FALSE(memory->place_on_node(high, 1000, NodePolicy::kBind)) << "no such node";
  EXPECT_FALSE(
      memory->place_on_node(*GuestRange::create(GuestAddress(0), 6_MiB), 0, NodePolicy::kBind))
      << "two regions";
  EXPECT_TRUE(memory->prefault());
}

// Pages cleared from another node's processors come at half the rate.
TEST(GuestMemory, HelpersRunNearToTheNode) {
  auto memory = GuestMemory::create({.size = 66_MiB, .low_limit = 4_MiB, .prefault_threads = 3});
  ASSERT_TRUE(memory);
  for (const auto& region : memory->regions()) {
    if (!memory->place_on_node(region.range, 0, NodePolicy::kPrefer)) {
      GTEST_SKIP() << "skipped: this kernel knows no NUMA";
    }
  }
  const std::array<unsigned, 2> cpus{static_cast<unsigned>(::sched_getcpu()), 5000};
  memory->set_node_cpus(0, cpus);
  std::atomic<int> elsewhere{0};
  std::atomic<int> begun{0};
  const auto status = memory->prefault({.on_begin =
                                            [&] {
                                              cpu_set_t set;
                                              CPU_ZERO(&set);
                                              ::sched_getaffinity(0, sizeof set, &set);
                                              const bool is_near =
                                                  CPU_COUNT(&set) == 1 && CPU_ISSET(cpus[0], &set);
                                              elsewhere += is_near ? 0 : 1;
                                              ++begun;
                                            },
                                        .on_end = {},
                                        .is_unwanted = {}});
  EXPECT_TRUE(status);
  EXPECT_EQ(begun, 2);
  EXPECT_EQ(elsewhere, 0);
}

TEST(GuestMemory, PrefaultGivesEveryPageItsMemory) {
  auto memory = GuestMemory::create({.size = 66_MiB, .low_limit = 4_MiB, .prefault_threads = 3});
  ASSERT_TRUE(memory);
  ASSERT_TRUE(memory->write(GuestAddress(0), four(9)));
  const auto status = memory->prefault();
  ASSERT_TRUE(status) << status.error().to_string();
  struct stat info {};
  ASSERT_EQ(::fstat(memory->fd(), &info), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(info.st_blocks) * 512, 66_MiB);
  auto out = four(0);
  ASSERT_TRUE(memory->read(GuestAddress(0), out));
  EXPECT_EQ(out, four(9)) << "what was written before must stay";
}

// Who maps what is told to be there must find pages in it.
TEST(GuestMemory, PrefaultTellsHowFarItIs) {
  auto memory = GuestMemory::create({.size = 258_MiB, .low_limit = 4_MiB, .prefault_threads = 3});
  ASSERT_TRUE(memory);
  std::atomic<std::uint64_t> most{0};
  std::atomic<int> wrong{0};
  const int fd = memory->fd();
  const auto status = memory->prefault(
      {.on_begin = {}, .on_end = {}, .is_unwanted = {}, .on_progress = [&](std::uint64_t bytes) {
         // The first place without a page, from the start.
         const auto hole = ::lseek(fd, 0, SEEK_HOLE);
         wrong += hole < 0 || static_cast<std::uint64_t>(hole) < bytes ? 1 : 0;
         std::uint64_t before = most;
         while (before < bytes && !most.compare_exchange_weak(before, bytes)) {
         }
       }});
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(most, 258_MiB);
}

TEST(GuestMemory, PrefaultTellsOfItsHelpersAndCanBeBrokenOff) {
  auto memory = GuestMemory::create({.size = 258_MiB, .low_limit = 4_MiB, .prefault_threads = 3});
  ASSERT_TRUE(memory);
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  const auto status = memory->prefault({.on_begin = [&begun] { ++begun; },
                                        .on_end = [&ended] { ++ended; },
                                        .is_unwanted = [] { return true; }});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(begun, 2) << "the caller is no helper";
  EXPECT_EQ(ended, 2);
  struct stat info {};
  ASSERT_EQ(::fstat(memory->fd(), &info), 0);
  EXPECT_EQ(info.st_blocks, 0);
}

}  // namespace
}  // namespace gpuvm::guest_memory_test
