// SPDX-License-Identifier: Apache-2.0
// A card's memory is overwritten as far as its windows show it, what takes no writes is told, and
// registers are left alone.
#include "devices/physical/scrub/memory_scrub.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "devices/pci/pci_spec.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::memory_scrub_test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr unsigned kRegisters = 0;
constexpr unsigned kMemory = 1;
constexpr unsigned kDoorbells = 3;
constexpr std::uint64_t kMemorySize = 40_MiB;
constexpr std::uint64_t kRegistersSize = 2_MiB;
constexpr int kSecret = 0x6b;

std::vector<std::byte> config_of_card() {
  std::vector<std::byte> config(256);
  const auto set = [&config](std::size_t offset, std::uint32_t value) {
    store_le(std::span(config).subspan(offset, 4), value);
  };
  set(0x00, 0x56781234);
  set(0x10, 0x00000000);  // BAR 0: registers
  set(0x14, 0x0000000c);  // BARs 1 and 2: 64 bits, prefetchable
  set(0x1c, 0x00000008);  // BAR 3: prefetchable, small
  return config;
}

/// Its memory may be smaller than its window, be closed to writes, or bring back what was there.
class FakeCard : public test::FakePhysicalDevice {
 public:
  FakeCard() : FakePhysicalDevice(config_of_card()) {
    add_bar(kRegisters, kRegistersSize);
    add_bar(kMemory, kMemorySize);
    add_bar(kDoorbells, 64_KiB);
    leave(kRegisters, kRegistersSize);
    leave(kMemory, kMemorySize);
    leave(kDoorbells, 64_KiB);
  }
  /// What a guest leaves.
  void leave(unsigned bar, std::uint64_t size) {
    auto window = map(bar_region(bar), {.offset = 0, .size = size}, 0).value();
    std::memset(window.data(), kSecret, size);
  }
  /// Bytes of all pages in which something of the guest's is still there.
  std::uint64_t left(unsigned bar, std::uint64_t size) {
    const auto window = map(bar_region(bar), {.offset = 0, .size = size}, 0).value();
    std::uint64_t bytes = 0;
    for (std::uint64_t page = 0; page < size; page += kPageSize) {
      bytes += std::memchr(window.data() + page, kSecret, kPageSize) != nullptr ? kPageSize : 0;
    }
    return bytes;
  }
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override {
    TRY(FakePhysicalDevice::read(index, offset, out));
    if (index == RegionIndex::kConfig) {
      return {};
    }
    if ((config_dword(pci::kCommand) & pci::kCommandMemory) == 0) {
      return fail(ErrorKind::kHost, "decode is off");
    }
    if (offset >= reachable) {
      std::fill(out.begin(), out.end(), std::byte{0xff});
    } else if (offset == comes_back && load_le(out) == 0) {
      store_le(out, 0x6b6b6b6b);
    }
    return {};
  }
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override {
    if (index != RegionIndex::kConfig) {
      written.push_back({static_cast<unsigned>(index), offset});
      if (is_closed || offset >= reachable) {
        return {};
      }
    }
    return FakePhysicalDevice::write(index, offset, in);
  }

  std::uint64_t reachable = ~std::uint64_t{0};  ///< from here on nothing answers
  bool is_closed = false;                       ///< takes no writes
  std::optional<std::uint64_t> comes_back;
  std::vector<std::pair<unsigned, std::uint64_t>> written;
};

class MemoryScrubTest : public testing::Test {
 protected:
  ScrubReport scrub(const ScrubChoice& choice = {}) {
    return scrub_memory(card_, choice,
                        {.now =
                             [this] {
                               time_ += pace_;
                               return time_;
                             },
                         .on_progress =
                             [this](const ScrubProgress& progress) {
                               EXPECT_EQ(progress.function, "0000:01:00.0");
                               EXPECT_EQ(progress.all, kMemorySize);
                               progress_.push_back(progress.done);
                             }});
  }
  static std::string fault_of(const ScrubReport& report) {
    return report.faults.empty() ? "" : report.faults.front();
  }

  FakeCard card_;
  milliseconds time_{0};
  milliseconds pace_{1};  ///< each look at the clock
  std::vector<std::uint64_t> progress_;
};

TEST_F(MemoryScrubTest, TheGuestsBytesAreGoneAndRegistersStay) {
  const auto report = scrub();
  EXPECT_TRUE(report.is_done()) << report.to_text();
  EXPECT_EQ(card_.left(kMemory, kMemorySize), 0U);
  EXPECT_EQ(card_.left(kRegisters, kRegistersSize), kRegistersSize);
  EXPECT_EQ(card_.left(kDoorbells, 64_KiB), 64_KiB);
  for (const auto& [bar, offset] : card_.written) {
    EXPECT_EQ(bar, kMemory) << offset;
  }
  EXPECT_EQ(report.zeroed(), kMemorySize);
  EXPECT_EQ(report.not_covered(), 0U);
  EXPECT_GT(report.samples, 0U);
  EXPECT_EQ(card_.config_dword(pci::kCommand), 0U) << "decode is as before";
  EXPECT_THAT(report.to_text(),
              AllOf(HasSubstr("scrub of 0000:01:00.0 done"),
                    HasSubstr("41943040 of 41943040 bytes of BAR 1 overwritten with zeroes"),
                    HasSubstr("samples read zero"), HasSubstr("no BAR shows is not covered")));
}

TEST_F(MemoryScrubTest, AWindowLargerThanTheMemoryIsCoveredAsFarAsItTakesWrites) {
  card_.reachable = 20_MiB + 64_KiB;
  const auto report = scrub();
  EXPECT_TRUE(report.is_done()) << report.to_text();
  EXPECT_EQ(report.zeroed(), 20_MiB + 64_KiB);
  EXPECT_EQ(report.not_covered(), kMemorySize - 20_MiB - 64_KiB);
  EXPECT_THAT(report.to_text(), HasSubstr("20905984 take no writes"));
}

TEST_F(MemoryScrubTest, AnEndInsideTheLastPartDoesNotCount) {
  card_.reachable = 16_MiB + 20_KiB;
  const auto report = scrub();
  EXPECT_TRUE(report.is_done()) << report.to_text();
  EXPECT_EQ(report.zeroed(), 16_MiB);
  EXPECT_EQ(report.zeroed() + report.not_covered(), kMemorySize);
}

TEST_F(MemoryScrubTest, AWindowThatTakesNoWritesFails) {
  card_.is_closed = true;
  const auto report = scrub();
  EXPECT_THAT(fault_of(report), HasSubstr("BAR 1 takes no writes now"));
  EXPECT_EQ(report.zeroed(), 0U);
  EXPECT_EQ(report.not_covered(), kMemorySize);
  EXPECT_EQ(card_.left(kMemory, kMemorySize), kMemorySize) << "nothing is written at random";
  EXPECT_THAT(report.to_text(), HasSubstr("scrub of 0000:01:00.0 failed"));
}

// Memory that is zero already would read zero whatever became of the writes.
TEST_F(MemoryScrubTest, ZeroesThatWereThereBeforeProveNothing) {
  card_.is_closed = true;
  auto window = card_.map(bar_region(kMemory), {.offset = 0, .size = kMemorySize}, 0).value();
  std::memset(window.data(), 0, kMemorySize);
  EXPECT_FALSE(scrub().is_done());
}

TEST_F(MemoryScrubTest, AByteThatComesBackIsFound) {
  card_.comes_back = 32_MiB;
  const auto report = scrub();
  EXPECT_THAT(fault_of(report), HasSubstr("BAR 1 reads 0x6b6b6b6b at 0x2000000 after it was"));
  EXPECT_GT(report.not_covered(), 0U);
}

TEST_F(MemoryScrubTest, TimeIsBoundedAndProgressIsTold) {
  pace_ = milliseconds(3000);
  const auto slow = scrub();
  EXPECT_TRUE(slow.is_done()) << slow.to_text();
  EXPECT_THAT(progress_, testing::Not(IsEmpty()));
  EXPECT_TRUE(std::is_sorted(progress_.begin(), progress_.end()));
  progress_.clear();
  card_.leave(kMemory, kMemorySize);
  const auto late = scrub({.bars = {}, .limit = std::chrono::seconds(8)});
  EXPECT_THAT(fault_of(late), HasSubstr("not done within 8 s: raise scrub_limit"));
  EXPECT_GT(late.bars.front().not_reached, 0U);
  EXPECT_EQ(late.zeroed() + late.not_covered(), kMemorySize);
}

TEST_F(MemoryScrubTest, OnlyMemoryCanBeChosen) {
  const auto fault = [this](std::vector<unsigned> bars) {
    return fault_of(scrub({.bars = std::move(bars)}));
  };
  EXPECT_THAT(fault({kRegisters}), HasSubstr("BAR 0 of 0000:01:00.0 is not prefetchable"));
  EXPECT_THAT(fault({2}), HasSubstr("BAR 2 of 0000:01:00.0 is no memory BAR"));
  EXPECT_THAT(fault({5}), HasSubstr("is no memory BAR"));
  EXPECT_THAT(card_.written, IsEmpty());
  EXPECT_EQ(card_.left(kRegisters, kRegistersSize), kRegistersSize);
  const auto small = scrub_memory(card_, {.bars = {kDoorbells}});
  EXPECT_TRUE(small.is_done()) << small.to_text();
  EXPECT_EQ(card_.left(kDoorbells, 64_KiB), 0U);
}

TEST_F(MemoryScrubTest, TheHomeOfTheMsixTableIsNoMemory) {
  card_.set_config(0x04, 0x00100000);
  card_.set_config(0x34, 0x40);
  card_.set_config(0x40, 0x00000011);
  card_.set_config(0x44, 0x1000 | kMemory);  // the table
  card_.set_config(0x48, kDoorbells);        // its pending bits
  EXPECT_THAT(fault_of(scrub({.bars = {kMemory}})), HasSubstr("holds the MSI-X table"));
  EXPECT_THAT(fault_of(scrub({.bars = {kDoorbells}})), HasSubstr("holds the MSI-X table"));
  EXPECT_THAT(fault_of(scrub()), HasSubstr("has no prefetchable memory BAR of 1 MiB or more"));
  EXPECT_THAT(card_.written, IsEmpty());
}

// A store behind the end of a file that has become shorter is SIGBUS.
TEST_F(MemoryScrubTest, AFileThatMayBecomeShorterIsNotWrittenTo) {
  card_.edit_region(kMemory).may_shrink = true;
  for (const auto& bars : {std::vector<unsigned>{}, std::vector<unsigned>{kMemory}}) {
    EXPECT_THAT(fault_of(scrub({.bars = bars})), HasSubstr("can make the file of BAR 1 shorter"));
  }
  EXPECT_THAT(card_.written, IsEmpty());
  EXPECT_TRUE(scrub_memory(card_, {.bars = {kDoorbells}}).is_done()) << "another BAR's file";
}

TEST_F(MemoryScrubTest, WhatCannotBeMappedIsNotCovered) {
  card_.edit_region(kMemory).sparse_areas = {{.offset = 0, .size = 16_MiB}};
  const auto report = scrub();
  EXPECT_TRUE(report.is_done()) << report.to_text();
  EXPECT_EQ(report.zeroed(), 16_MiB);
  EXPECT_EQ(card_.left(kMemory, kMemorySize), kMemorySize - 16_MiB);
}

TEST_F(MemoryScrubTest, ACardThatIsGoneFails) {
  card_.set_gone(true);
  const auto report = scrub();
  EXPECT_FALSE(report.is_done());
}

TEST(ScrubChoiceText, IsReadAsItWasWritten) {
  for (const ScrubChoice& choice :
       {ScrubChoice{}, ScrubChoice{.bars = {0, 3}, .limit = std::chrono::seconds(7)}}) {
    EXPECT_EQ(parse_scrub_choice(to_text(choice)), choice);
  }
  EXPECT_EQ(to_text(std::nullopt), "");
  EXPECT_EQ(parse_scrub_choice(""), std::nullopt);
  for (const char* const damaged :
       {"x", "vram", "vram 0", "vram 99999999999", "vram 7 6", "vram 7 1 1", "vram 7 a", " "}) {
    EXPECT_EQ(parse_scrub_choice(damaged), ScrubChoice()) << damaged;
  }
}

}  // namespace
}  // namespace gpuvm::memory_scrub_test
