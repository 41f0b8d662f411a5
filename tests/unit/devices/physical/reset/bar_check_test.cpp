// SPDX-License-Identifier: Apache-2.0
// A card whose BAR registers are gone looks well by all that VFIO shows of it: no reset of it is
// called verified. Nor is one whose memory reads all ones.
#include "devices/physical/reset/bar_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/physical/memory_bars.hpp"
#include "devices/physical/reset/reset_book.hpp"
#include "tests/unit/devices/physical/reset/gpu_slot_test.hpp"

namespace gpuvm::bar_check_test {
namespace {

using reset_test::kAudio;
using reset_test::kGpu;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kPlace = 0xfd000000;

class BarCheckTest : public reset_test::GpuSlotTest {
 protected:
  BarCheckTest() {
    gpu_.places = {{{.bar = 0, .host = kPlace, .hardware = kPlace}}};
    audio_.places = {{{.bar = 0, .host = kPlace + 0x1000000, .hardware = kPlace + 0x1000000}}};
  }
  void lose_registers() {
    gpu_.places->front().hardware = 0;
    gpu_.set16(4, 0);
  }
  /// As a start does it: entered in the book while they look as they do, then reset.
  ResetCertificate reset() {
    ResetBook book(host_);
    for (PhysicalDevice* const device : devices_) {
      EXPECT_TRUE(book.add(*device, {}));
    }
    const auto plan = book.plan(devices_);
    EXPECT_TRUE(plan);
    return book.reset(*plan, time_.clock()).front();
  }
};

TEST_F(BarCheckTest, ACardThatHasLostItsBarRegistersIsNotVerified) {
  lose_registers();
  const auto certificate = reset();
  EXPECT_EQ(certificate.verdict, ResetVerdict::kFailed);
  EXPECT_TRUE(certificate.has_lost_registers);
  EXPECT_THAT(certificate.text,
              AllOf(HasSubstr(kGpu + ": BAR 0 is at 0x0 and not at 0xfd000000"),
                    HasSubstr("`gpuvm reset --first rescan " + kGpu + " " + kAudio + "`"),
                    Not(HasSubstr("Reboot the host"))));
}

TEST_F(BarCheckTest, ARegisterThatIsGoneWithAResetIsFound) {
  host_.on_hot_reset = gpu_.on_function_reset = [this] {
    lose_registers();
    return Status();
  };
  EXPECT_FALSE(reset().is_safe());
}

TEST_F(BarCheckTest, TheCertificateSaysWhatWasLookedAt) {
  const auto certificate = reset();
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  EXPECT_EQ(certificate.bars.to_text(),
            "2 BAR registers as the host has them, 2 of 2 memory BARs answer");
  InspectNode node;
  certificate.inspect(node);
  EXPECT_THAT(node.to_text(), HasSubstr("2 of 2 memory BARs answer"));
}

// VFIO writes the registers that it found at the opening, when decode is switched on.
TEST_F(BarCheckTest, WhatTheHostsDriverMendsIsNoFault) {
  gpu_.has_backup = true;
  lose_registers();
  EXPECT_TRUE(reset().is_safe());
}

TEST_F(BarCheckTest, WhereNobodyKnowsTheHardwaresRegistersNothingIsCompared) {
  gpu_.places = audio_.places = std::nullopt;
  const auto certificate = reset();
  EXPECT_TRUE(certificate.is_safe());
  EXPECT_EQ(certificate.bars.compared, 0U);
}

TEST_F(BarCheckTest, AGpuThatReadsAllOnesIsNotVerified) {
  gpu_.is_silent = true;
  const auto certificate = reset();
  EXPECT_FALSE(certificate.is_safe());
  EXPECT_FALSE(certificate.has_lost_registers);
  EXPECT_THAT(certificate.text, HasSubstr(kGpu + ": all its memory BARs read all ones"));
}

TEST_F(BarCheckTest, SilenceIsWaitedForAsLongAsFirmwareBoots) {
  ResetClock clock = time_.clock();
  clock.sleep = [this, sleep = clock.sleep](milliseconds length) {
    sleep(length);
    gpu_.is_silent = time_.time < milliseconds(700);
  };
  gpu_.set16(4, 2);
  const FunctionState known = read_function_state(gpu_).value();
  const ResetPolicy& policy = default_reset_policy();
  gpu_.is_silent = true;
  EXPECT_TRUE(check_bars(gpu_, known, policy, clock, true).faults.empty());
  EXPECT_GE(time_.time, milliseconds(700));
  EXPECT_LE(time_.time, policy.boot_time);
}

// Some functions have nothing to say where they are read; what they said before counts.
TEST_F(BarCheckTest, OtherFunctionsAreComparedWithWhatTheyWere) {
  audio_.is_silent = true;
  EXPECT_TRUE(reset().is_safe()) << "it never said anything else";
  audio_.is_silent = false;
  host_.on_hot_reset = audio_.on_function_reset = [this] {
    audio_.is_silent = true;
    return Status();
  };
  EXPECT_THAT(reset().text, HasSubstr(kAudio + ": all its memory BARs read all ones, which they"));
}

TEST_F(BarCheckTest, OneBarThatIsSilentBesideOthersIsOdd) {
  gpu_.regions.at(2) = {0x1000, true, true, true, false, {}};
  FunctionState known = read_function_state(gpu_).value();
  known.answering_bars = 0x5;
  gpu_.registers[0] = 0xffffffff;  // of both, which is all that is read
  EXPECT_THAT(check_bars(gpu_, known, default_reset_policy(), time_.clock(), true).faults,
              testing::SizeIs(1));
  gpu_.set16(0x10, 0x0008);  // prefetchable: read in its middle, too
  const auto found = check_bars(gpu_, known, default_reset_policy(), time_.clock(), true);
  EXPECT_THAT(found.faults, testing::IsEmpty());
  EXPECT_THAT(found.oddities, testing::ElementsAre(HasSubstr("BAR 2 reads all ones")));
  EXPECT_EQ(found.look.to_text(),
            "1 BAR registers as the host has them, 1 of 2 memory BARs answer");
}

// After D3hot the guest's driver goes on, so its registers are not read.
TEST_F(BarCheckTest, WithoutReadingOnlyTheRegistersAreCompared) {
  const FunctionState known = read_function_state(gpu_).value();
  gpu_.is_silent = true;
  history_.clear();
  EXPECT_TRUE(check_bars(gpu_, known, default_reset_policy(), time_.clock(), false).faults.empty());
  EXPECT_TRUE(history_.empty());
  lose_registers();
  EXPECT_TRUE(
      check_bars(gpu_, known, default_reset_policy(), time_.clock(), false).has_lost_registers);
}

TEST_F(BarCheckTest, ACardThatTheHostTakesAwayNeedsNoReboot) {
  host_.on_hot_reset = gpu_.on_function_reset = audio_.on_function_reset = [this] {
    gpu_.is_taken = true;
    return fail(ErrorKind::kHost, "the host's kernel keeps it locked");
  };
  const auto certificate = reset();
  EXPECT_FALSE(certificate.is_safe());
  EXPECT_THAT(certificate.text,
              AllOf(HasSubstr("The host is taking it away"), HasSubstr("/sys/bus/pci/rescan"),
                    Not(HasSubstr("eboot the host")), Not(HasSubstr("witch the host off"))));
}

TEST_F(BarCheckTest, MemoryBarsAreThoseThatDecodeMemory) {
  gpu_.set16(0x10, 0x000c);  // BARs 0 and 1: 64 bits, prefetchable
  gpu_.set16(0x14, 0x0001);  // an upper half that looks like ports
  gpu_.regions.at(2) = {0x100, true, true, false, false, {}};
  gpu_.set16(0x18, 0x0001);  // ports
  gpu_.regions.at(3) = {0x1000, true, true, true, false, {}};
  const auto bars = memory_bars(gpu_);
  ASSERT_TRUE(bars);
  ASSERT_EQ(bars->size(), 2U);
  EXPECT_EQ(bars->at(0).index, 0U);
  EXPECT_TRUE(bars->at(0).is_prefetchable);
  EXPECT_EQ(bars->at(1).index, 3U);
  EXPECT_FALSE(bars->at(1).is_prefetchable);
}

}  // namespace
}  // namespace gpuvm::bar_check_test
