// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_sequence.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/devices/physical/reset/reset_sequence_fixture.hpp"

namespace gpuvm::reset_sequence_test {
namespace {

using reset_test::kAudio;
using reset_test::kGpu;
using reset_test::ResetSequenceTest;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST_F(ResetSequenceTest, QuiescesEveryFunctionThenResetsTheSlotOnce) {
  const ResetPlan made = plan();
  gpu_.make_busy();
  gpu_.set16(FakeResetDevice::kPower + 4, 0x0003);  // D3hot
  const auto result = run(made);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_THAT(history_,
              ElementsAre(kGpu + " disable MSI-X", kGpu + " disable MSI", kGpu + " disable INTx",
                          kGpu + " config 0x92 = 0x3", kGpu + " config 0x52 = 0x80",
                          kGpu + " config 0x44 = 0x0", kGpu + " config 0x4 = 0x100",
                          kAudio + " disable MSI-X", kAudio + " disable MSI",
                          kAudio + " disable INTx", "hot reset at " + kGpu,
                          // whether the BARs answer
                          kGpu + " config 0x4 = 0x102", kGpu + " config 0x4 = 0x100",
                          kAudio + " config 0x4 = 0x2", kAudio + " config 0x4 = 0x0"));
  ASSERT_EQ(result->size(), 1u);
  const ResetCertificate& certificate = result->front();
  EXPECT_EQ(certificate.method, ResetMethod::kHotReset);
  EXPECT_EQ(certificate.verdict, ResetVerdict::kVerified);
  EXPECT_EQ(certificate.functions, kGpu + ", " + kAudio);
  // 10 ms from D3hot to D0, 100 ms to settle.
  EXPECT_EQ(certificate.duration, milliseconds(110));
}

TEST_F(ResetSequenceTest, WaitsForFunctionsThatAreNotReady) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.not_ready_reads = 3;
    return Status();
  };
  ASSERT_TRUE(run(made));
  EXPECT_THAT(time_.sleeps,
              ElementsAre(milliseconds(10), milliseconds(10), milliseconds(10), milliseconds(100)));
}

// What is overslept is a part of what the function took, and not up to a quarter of a second.
TEST_F(ResetSequenceTest, PausesGrowWithTheTimeThatWasWaited) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.not_ready_reads = 40;
    return Status();
  };
  ASSERT_TRUE(run(made));
  ASSERT_EQ(time_.sleeps.size(), 41U);
  milliseconds waited{0};
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_LE(time_.sleeps[i], std::max(milliseconds(10), waited / 8));
    waited += time_.sleeps[i];
  }
  EXPECT_GT(waited, milliseconds(1000));
  EXPECT_EQ(time_.sleeps[40], milliseconds(100)) << "the rest after it";
}

TEST_F(ResetSequenceTest, DeviceThatNeverAnswersIsRefusedAfterTheTimeout) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.is_gone = true;
    return Status();
  };
  const std::string text = refusal(made);
  EXPECT_THAT(text, AllOf(HasSubstr("did not answer within 60 s"), HasSubstr("ffff"),
                          HasSubstr("Switch the host off and on")));
  EXPECT_GE(time_.time, milliseconds(120000));  // two methods were tried
  EXPECT_LT(time_.time, milliseconds(122000));
}

// A set has one deadline, however many of its functions do not answer.
TEST_F(ResetSequenceTest, FunctionsAreWaitedForTogether) {
  ResetOptions options;
  options.only = ResetMethod::kHotReset;
  const ResetPlan made = plan(options);
  host_.on_hot_reset = [this] {
    gpu_.is_gone = audio_.is_gone = true;
    return Status();
  };
  EXPECT_THAT(refusal(made), AllOf(HasSubstr(kGpu + " did not answer within 60 s"),
                                   HasSubstr(kAudio + " did not answer within 60 s")));
  EXPECT_GE(time_.time, milliseconds(60000));
  EXPECT_LT(time_.time, milliseconds(61000));
}

// Linux, drivers/vfio/pci/vfio_pci_config.c: the ids are ALL_VIRT, the class is the hardware's.
TEST_F(ResetSequenceTest, DeviceWhoseIdsTheKernelMakesUpIsKnownByItsClass) {
  const ResetPlan made = plan();
  gpu_.keeps_ids = true;
  host_.on_hot_reset = [this] {
    gpu_.not_ready_reads = 3;
    return Status();
  };
  ASSERT_TRUE(run(made));
  EXPECT_THAT(time_.sleeps,
              ElementsAre(milliseconds(10), milliseconds(10), milliseconds(10), milliseconds(100)));
  host_.on_hot_reset = [this] {
    gpu_.is_gone = true;
    return Status();
  };
  EXPECT_THAT(refusal(made),
              AllOf(HasSubstr("did not answer within 60 s (its class reads ffffffff)"),
                    HasSubstr("Switch the host off and on")));
  EXPECT_THAT(read_function_state(gpu_).error().to_string(), HasSubstr("its class reads ffffffff"));
}

TEST_F(ResetSequenceTest, NotReadyVendorId0001IsNoAnswer) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.set16(0, 0x0001);
    return Status();
  };
  EXPECT_THAT(refusal(made), HasSubstr("its vendor id reads 0001"));
}

TEST_F(ResetSequenceTest, FailedHotResetEscalatesToFunctionResets) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [] { return Status(fail(ErrorKind::kHost, "Busy ten times")); };
  const auto result = run(made);
  ASSERT_TRUE(result);
  EXPECT_THAT(resets(), ElementsAre("hot reset at " + kGpu, kGpu + " function reset",
                                    kAudio + " function reset"));
  EXPECT_EQ(result->front().method, ResetMethod::kFunctionReset);
  EXPECT_THAT(result->front().text, HasSubstr("Busy ten times"));
}

/// Each change after a reset that must not pass the check.
struct Damage {
  const char* what;
  std::function<void(FakeResetDevice&)> apply;
  const char* expected;
};

TEST_F(ResetSequenceTest, NothingUnverifiedIsEverCalledASuccess) {
  const std::vector<Damage> damages{
      {"device id", [](FakeResetDevice& d) { d.set16(2, 0x9999); }, "1234:9999"},
      {"class", [](FakeResetDevice& d) { d.set16(0x0a, 0xff00); }, "class ff0000"},
      {"header", [](FakeResetDevice& d) { d.config[0x0e] = std::byte{1}; }, "header type is 0x1"},
      {"capabilities", [](FakeResetDevice& d) { d.set16(0x06, 0); }, "capabilities"},
      {"chain", [](FakeResetDevice& d) { d.set16(0x60, 0x0010); }, "capabilities"},
      {"BAR", [](FakeResetDevice& d) { d.regions.at(0).size /= 2; }, "sizes of its BARs"},
      {"resizable BAR", [](FakeResetDevice& d) { d.make_resizable(7); }, "sizes of its BARs"},
      {"link width", [](FakeResetDevice& d) { d.set16(0x60 + 0x12, 0x0013); }, "link width is x1"},
      {"power", [](FakeResetDevice& d) { d.set16(0x44, 3), d.is_power_stuck = true; },
       "power state is not D0"},
      {"MSI", [](FakeResetDevice& d) { d.set16(0x52, 1); }, "MSI is still on"},
      {"MSI-X", [](FakeResetDevice& d) { d.set16(0x92, 0x8000); }, "MSI-X is still on"},
  };
  gpu_.make_resizable(8);
  ResetOptions options;
  options.only = ResetMethod::kHotReset;
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.what);
    const auto well_config = gpu_.config;
    const auto well_regions = gpu_.regions;
    const ResetPlan made = plan(options);
    host_.on_hot_reset = [this, &damage] {
      damage.apply(gpu_);
      return Status();
    };
    EXPECT_THAT(refusal(made), AllOf(HasSubstr(kGpu + ": "), HasSubstr(damage.expected)));
    gpu_.config = well_config;
    gpu_.regions = well_regions;
    gpu_.is_power_stuck = false;
  }
}

TEST_F(ResetSequenceTest, DamageToTheSecondFunctionCountsToo) {
  const ResetPlan made = plan();
  audio_.can_function_reset = false;
  host_.on_hot_reset = [this] {
    audio_.set16(2, 0x9999);
    return Status();
  };
  EXPECT_THAT(refusal(made), HasSubstr(kAudio + ": is 1234:9999"));
}

TEST_F(ResetSequenceTest, FailedCheckEscalatesAndTheNextMethodMayCure) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.set16(0x60 + 0x12, 0x0013);
    return Status();
  };
  gpu_.on_function_reset = [this] {
    gpu_.set16(0x60 + 0x12, 0x0083);
    return Status();
  };
  const auto result = run(made);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->front().method, ResetMethod::kFunctionReset);
  EXPECT_THAT(result->front().text, HasSubstr("link width is x1, but was x8"));
}

TEST_F(ResetSequenceTest, FasterLinkThanBeforeIsWell) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.set16(0x60 + 0x12, 0x0104);
    return Status();
  };
  EXPECT_TRUE(run(made));
}

TEST_F(ResetSequenceTest, DecodeThatTheResetBroughtBackIsSwitchedOff) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.set16(0x04, 0x0407);
    return Status();
  };
  ASSERT_TRUE(run(made));
  EXPECT_EQ(gpu_.get16(0x04), 0);
}

TEST_F(ResetSequenceTest, PartialWhereAFunctionHasNoResetOfItsOwn) {
  audio_.can_function_reset = false;
  ResetOptions options;
  options.only = ResetMethod::kFunctionReset;
  const auto result = run(plan(options));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->front().verdict, ResetVerdict::kPartial);
  EXPECT_THAT(result->front().text, HasSubstr(kAudio + " has no reset of its own"));
  EXPECT_THAT(resets(), ElementsAre(kGpu + " function reset"));
}

// vendor-reset tells the kernel that such a card has no bus reset, and VFIO then offers none.
TEST_F(ResetSequenceTest, GpuAndAudioFunctionAreOneSetWithoutAHotReset) {
  host_.sets.clear();
  audio_.can_function_reset = false;
  const ResetPlan made = plan();
  ASSERT_EQ(made.sets().size(), 1u);
  EXPECT_TRUE(made.check());
  const auto result = run(made);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->front().verdict, ResetVerdict::kPartial);
  EXPECT_THAT(resets(), ElementsAre(kGpu + " function reset"));
  // Any two functions are no GPU with what belongs to it.
  gpu_.set16(0x0a, 0x0200);
  EXPECT_EQ(plan().sets().size(), 2u);
  EXPECT_THAT(plan().sets()[1].rungs, ElementsAre(ResetMethod::kNone));
}

TEST_F(ResetSequenceTest, ResetThatTheHostRefusedToBeginIsNoneThatDidNotHelp) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [] { return Status(fail(ErrorKind::kHost, "Busy ten times")); };
  EXPECT_THAT(run(made)->front().did_not_help, testing::IsEmpty());
  host_.on_hot_reset = [this] {
    gpu_.set16(0x60 + 0x12, 0x0013);
    return Status();
  };
  gpu_.on_function_reset = [this] {
    gpu_.set16(0x60 + 0x12, 0x0083);
    return Status();
  };
  EXPECT_THAT(run(made)->front().did_not_help, ElementsAre(ResetMethod::kHotReset));
}

TEST_F(ResetSequenceTest, StuckPowerStateIsToldWhenTheResetCuresIt) {
  const ResetPlan made = plan();
  gpu_.set16(FakeResetDevice::kPower + 4, 3);
  gpu_.is_power_stuck = true;
  host_.on_hot_reset = [this] {
    gpu_.set16(FakeResetDevice::kPower + 4, 0);
    return Status();
  };
  const auto result = run(made);
  ASSERT_TRUE(result);
  EXPECT_THAT(result->front().text, HasSubstr("stuck in power state D3"));
}

TEST_F(ResetSequenceTest, SetsAreResetOneByOneAndAFailureDoesNotStopTheOthers) {
  FakeResetDevice usb(history_, "0000:02:00.0");
  devices_.push_back(&usb);
  host_.sets.push_back({member("0000:02:00.0", 14)});
  const ResetPlan made = plan();
  ASSERT_EQ(made.sets().size(), 2u);
  host_.on_hot_reset = [] { return Status(fail(ErrorKind::kHost, "No")); };
  gpu_.on_function_reset = host_.on_hot_reset;
  const std::string text = refusal(made);
  EXPECT_THAT(text, AllOf(HasSubstr(kGpu), Not(HasSubstr("0000:02:00.0"))));
  EXPECT_THAT(history_, Contains("0000:02:00.0 function reset"));
}

TEST_F(ResetSequenceTest, WithoutAnyResetItStopsTheDeviceAndRefuses) {
  host_.sets.clear();
  gpu_.can_function_reset = false;
  audio_.can_function_reset = false;
  const ResetPlan made = plan();
  EXPECT_FALSE(made.check());
  gpu_.make_busy();
  EXPECT_THAT(refusal(made),
              AllOf(HasSubstr("No safe reset is known for " + kGpu), HasSubstr("reset = \"none\""),
                    HasSubstr("offers no hot reset")));
  EXPECT_THAT(resets(), testing::IsEmpty());
  EXPECT_EQ(gpu_.get16(0x04) & 7, 0);
}

TEST_F(ResetSequenceTest, EverySetGetsACertificateAlsoAFailedOne) {
  FakeResetDevice usb(history_, "0000:02:00.0");
  devices_.push_back(&usb);
  host_.sets.push_back({member("0000:02:00.0", 14)});
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.is_gone = true;
    return Status();
  };
  const auto certificates = reset_all(host_, made, time_.clock());
  ASSERT_EQ(certificates.size(), 2u);
  EXPECT_EQ(certificates[0].verdict, ResetVerdict::kFailed);
  EXPECT_THAT(certificates[0].names, ElementsAre(kGpu, kAudio));
  EXPECT_THAT(certificates[0].text, HasSubstr("Switch the host off"));
  EXPECT_EQ(certificates[1].verdict, ResetVerdict::kVerified);
  EXPECT_EQ(check_all_safe(certificates).error().kind(), ErrorKind::kUnsafeDevice);
}

TEST_F(ResetSequenceTest, WhereTheUserForbidsResetsTheDeviceIsStillMadeQuietAndChecked) {
  std::vector<FunctionResetOptions> none(2);
  none[0].method = ResetMethod::kNone;
  const auto made = ResetPlan::create(host_, devices_, {}, none).value();
  gpu_.make_busy();
  const auto certificates = reset_all(host_, made, time_.clock());
  ASSERT_EQ(certificates.size(), 1u);
  EXPECT_EQ(certificates[0].verdict, ResetVerdict::kUnreset);
  EXPECT_THAT(resets(), testing::IsEmpty());
  EXPECT_EQ(gpu_.get16(0x04) & 7, 0);
  gpu_.is_gone = true;
  EXPECT_FALSE(check_all_safe(reset_all(host_, made, time_.clock())));
}

class NvidiaResetTest : public ResetSequenceTest {
 protected:
  NvidiaResetTest() {
    gpu_.set16(0, 0x10de);
    gpu_.set16(2, 0x2684);  // AD102
    gpu_.registers[0] = 0x192000a1;
    gpu_.registers[0x118128] = 1;
    gpu_.registers[0x118234] = 0xff;
  }
};

TEST_F(NvidiaResetTest, ReadsTheChipsRegistersWithDecodeOnAndOffAgain) {
  const ResetPlan made = plan();
  ASSERT_TRUE(run(made));
  // Once for the policy's registers, and once to see whether the BARs answer.
  History decode;
  std::copy_if(history_.begin(), history_.end(), std::back_inserter(decode),
               [](const std::string& entry) { return entry.starts_with(kGpu + " config 0x4 ="); });
  EXPECT_THAT(decode, ElementsAre(kGpu + " config 0x4 = 0x2", kGpu + " config 0x4 = 0x0",
                                  kGpu + " config 0x4 = 0x2", kGpu + " config 0x4 = 0x0"));
  EXPECT_EQ(time_.sleeps, std::vector<milliseconds>{milliseconds(500)});
}

TEST_F(NvidiaResetTest, LockedGspMemoryIsRefused) {
  gpu_.registers[0x1fa828] = 0x1ffffe00;
  EXPECT_THAT(refusal(plan()), HasSubstr("WPR2_ADDR_HI) reads 0x1ffffe00"));
}

TEST_F(NvidiaResetTest, ChipThatReadsAllOnesIsRefused) {
  gpu_.registers[0] = 0xffffffff;
  EXPECT_THAT(refusal(plan()), HasSubstr("NV_PMC_BOOT_0"));
}

}  // namespace
}  // namespace gpuvm::reset_sequence_test
