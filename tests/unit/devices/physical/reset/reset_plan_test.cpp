// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/physical/reset/gpu_slot_test.hpp"

namespace gpuvm::reset_plan_test {
namespace {

using reset_test::kAudio;
using reset_test::kGpu;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kHot = ResetMethod::kHotReset;
constexpr auto kFunction = ResetMethod::kFunctionReset;

class ResetPlanTest : public reset_test::GpuSlotTest {
 protected:
  void set_gpu(std::uint16_t vendor, std::uint16_t device) {
    gpu_.set16(0, vendor);
    gpu_.set16(2, device);
  }
  ResetPlan plan(const ResetOptions& options = {}) {
    return ResetPlan::create(host_, devices_, options).value();
  }
};

TEST_F(ResetPlanTest, UnknownDeviceGetsAHotResetFirst) {
  const ResetPlan made = plan();
  ASSERT_EQ(made.sets().size(), 1u);
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(kHot, kFunction));
  EXPECT_TRUE(made.check());
  EXPECT_THAT(history_, IsEmpty());
}

TEST_F(ResetPlanTest, DeviceThatDoesNotAnswerIsPlannedForIfItsLooksAreKnown) {
  const FunctionState known = read_function_state(gpu_).value();
  gpu_.is_gone = true;
  EXPECT_FALSE(ResetPlan::create(host_, devices_, {}));
  const std::vector<FunctionResetOptions> options{{.known = known}, {}};
  const auto made = ResetPlan::create(host_, devices_, {}, options);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->sets()[0].functions[0].before, known);
  EXPECT_THAT(made->sets()[0].rungs, ElementsAre(kHot, kFunction));
}

TEST_F(ResetPlanTest, HotResetThatCoversAStrangerIsNotUsed) {
  devices_ = {&gpu_};
  const ResetPlan made = plan();
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(kFunction));
  EXPECT_THAT(made.sets()[0].hot_reset_obstacle,
              AllOf(HasSubstr(kAudio), HasSubstr("functions = \"all\"")));
  gpu_.can_function_reset = false;
  const Status status = plan().check();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(status.error().message(), HasSubstr(kAudio));
}

TEST_F(ResetPlanTest, HostThatLiesAboutTheSetGetsNoHotReset) {
  host_.sets = {{member(kGpu)}, {member(kAudio)}};
  EXPECT_EQ(plan().sets().size(), 2u);
}

TEST_F(ResetPlanTest, PoliciesDecideTheOrder) {
  set_gpu(0x10de, 0x1eb8);  // T4
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kFunction));
  set_gpu(0x10de, 0x2c05);  // GB203
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kFunction, kHot));
  set_gpu(0x10de, 0x2b85);  // GB202
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kHot));
  set_gpu(0x10de, 0x128b);  // GT 710
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kHot));
  set_gpu(0x1002, 0x74a1);  // MI300X
  EXPECT_THAT(plan().sets()[0].rungs, IsEmpty());
  EXPECT_THAT(plan().check().error().message(), HasSubstr("virtual function"));
}

TEST_F(ResetPlanTest, FunctionResetThatKeepsStaleStateIsForWantOfBetterOnly) {
  set_gpu(0x10de, 0x2330);  // H100
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kHot));
  EXPECT_THAT(plan().sets()[0].function_reset_obstacle, HasSubstr("stale firmware state"));
  std::vector<FunctionResetOptions> choices(2);
  choices[0].method = kFunction;
  EXPECT_THAT(ResetPlan::create(host_, devices_, {}, choices)->sets()[0].rungs,
              ElementsAre(kFunction));
  devices_ = {&gpu_};  // a hot reset would hit a stranger
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kFunction));
}

TEST_F(ResetPlanTest, ConfigurationChoosesButCannotAllow) {
  ResetOptions options;
  options.only = kFunction;
  options.settle = std::chrono::milliseconds(7);
  EXPECT_THAT(plan(options).sets()[0].rungs, ElementsAre(kFunction));
  EXPECT_EQ(plan(options).sets()[0].settle, std::chrono::milliseconds(7));
  set_gpu(0x10de, 0x2b85);
  EXPECT_THAT(plan(options).sets()[0].rungs, IsEmpty());
}

TEST_F(ResetPlanTest, UserMayInsistAgainstThePolicyAndIsWarned) {
  set_gpu(0x10de, 0x1eb8);  // T4: never a bus reset
  std::vector<FunctionResetOptions> choices(2);
  choices[0].method = kHot;
  const auto made = ResetPlan::create(host_, devices_, {}, choices).value();
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(kHot));
  EXPECT_THAT(made.sets()[0].warning, AllOf(HasSubstr("hot reset"), HasSubstr("NVIDIA T4")));
}

TEST_F(ResetPlanTest, UserCannotInsistOnWhatTheHostDoesNotHave) {
  devices_ = {&gpu_};  // the audio function is a stranger
  std::vector<FunctionResetOptions> choices(1);
  choices[0].method = kHot;
  EXPECT_THAT(ResetPlan::create(host_, devices_, {}, choices)->sets()[0].rungs, IsEmpty());
}

TEST_F(ResetPlanTest, UserMayForbidEveryReset) {
  set_gpu(0x1002, 0x74a1);  // MI300X, which has none that is safe
  std::vector<FunctionResetOptions> choices(2);
  choices[0].method = ResetMethod::kNone;
  choices[1].method = ResetMethod::kNone;
  const auto made = ResetPlan::create(host_, devices_, {}, choices).value();
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(ResetMethod::kNone));
  EXPECT_THAT(made.sets()[0].warning, HasSubstr("stays there"));
}

TEST_F(ResetPlanTest, TwoChoicesForOneSetContradict) {
  std::vector<FunctionResetOptions> choices(2);
  choices[0].method = kHot;
  choices[1].method = kFunction;
  const auto made = ResetPlan::create(host_, devices_, {}, choices);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kConfig);
}

TEST_F(ResetPlanTest, LongestRestOfASetCounts) {
  std::vector<FunctionResetOptions> choices(2);
  choices[0].settle = std::chrono::milliseconds(10);
  choices[1].settle = std::chrono::milliseconds(2000);
  EXPECT_EQ(ResetPlan::create(host_, devices_, {}, choices)->sets()[0].settle,
            std::chrono::milliseconds(2000));
}

TEST_F(ResetPlanTest, WhatIsKnownFromBeforeACrashIsWhatADeviceMustBecome) {
  const auto well = read_function_state(gpu_).value();
  gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0011);  // after the crash: x1
  std::vector<FunctionResetOptions> known(2);
  known[0].known = parse_function_state(to_text(well));
  ASSERT_TRUE(known[0].known);
  EXPECT_EQ(ResetPlan::create(host_, devices_, {}, known)->sets()[0].functions[0].before, well);
}

TEST_F(ResetPlanTest, LinkIsAsWideAsBeforeTheKernelOpenedIt) {
  std::vector<FunctionResetOptions> options(2);
  options[0].link_width = 16;
  options[1].link_width = 4;
  const auto made = ResetPlan::create(host_, devices_, {}, options).value();
  EXPECT_EQ(made.sets()[0].functions[0].before.link_width, 16);
  EXPECT_EQ(made.sets()[0].functions[1].before.link_width, 8) << "what it is now is more";
  audio_.set16(0x34, 0);  // no capabilities, so no link
  EXPECT_EQ(
      ResetPlan::create(host_, devices_, {}, options)->sets()[0].functions[1].before.link_width, 0);
}

TEST(FunctionStateText, HostileLinesAreNoState) {
  std::string rest;
  for (int i = 0; i < 9; ++i) {
    rest += " 0";
  }
  // 21 numbers: as it was before shows_audio was kept.
  const std::string good = "1 0 0 0 0 0 0 0 0 0 0 1" + rest;
  EXPECT_FALSE(parse_function_state(good).value().shows_audio);
  EXPECT_TRUE(parse_function_state(good + " 1").value().shows_audio);
  EXPECT_EQ(parse_function_state(good + " 1 5").value().answering_bars, 5);
  EXPECT_EQ(to_text(parse_function_state(good).value()), good + " 0 0");
  EXPECT_TRUE(parse_function_state("1 0 0 0 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0 ffffffffffffffff"));
  for (const std::string& text :
       {std::string(), std::string("1"), std::string("x"), "-" + good, "1000" + good,
        good + " 0 0 0", good + " 0 100", good + " 2", good.substr(0, good.size() - 2),
        "1 0 0 0 0 0 0 0 0 0 0 2" + rest}) {
    EXPECT_FALSE(parse_function_state(text)) << text;
  }
}

TEST_F(ResetPlanTest, FunctionLevelResetAndSoftResetBitsAreRead) {
  gpu_.set16(FakeResetDevice::kExpress + 6, 0x1000);  // Device Capabilities bit 28
  gpu_.set16(FakeResetDevice::kPower + 4, 0x0008);    // No_Soft_Reset
  const auto state = read_function_state(gpu_).value();
  EXPECT_TRUE(state.has_flr);
  EXPECT_TRUE(state.no_soft_reset);
  EXPECT_FALSE(read_function_state(audio_)->has_flr);
}

TEST_F(ResetPlanTest, DisplayWithoutAResetOfItsOwnNeedsTheHotReset) {
  gpu_.can_function_reset = false;
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kHot));
  EXPECT_THAT(plan().sets()[0].function_reset_obstacle, HasSubstr(kGpu + " has none"));
}

TEST_F(ResetPlanTest, LostDeviceIsRefusedAtOnce) {
  gpu_.is_gone = true;
  const auto made = ResetPlan::create(host_, devices_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(made.error().message(), HasSubstr("does not answer"));
}

TEST_F(ResetPlanTest, CapabilityChainThatLoopsEnds) {
  gpu_.set16(FakeResetDevice::kMsix, 0x4011);  // back to the first
  EXPECT_TRUE(ResetPlan::create(host_, devices_));
}

TEST_F(ResetPlanTest, WhatDoesNotHelpOneFunctionOfASetComesLast) {
  ResetPlan made = plan();
  made.try_last([](const std::string&, ResetMethod) { return true; });
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(kHot, kFunction));
  made.try_last([](const std::string& function, ResetMethod method) {
    return function == kAudio && method == kHot;
  });
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(kFunction, kHot));
}

// AMD's onboard USB controllers, Intel's PCH: QEMU goes on, too.
TEST_F(ResetPlanTest, WithoutAnyResetAnythingButAGpuIsQuiescedAndChecked) {
  host_.sets.clear();
  audio_.set16(0x0a, 0x0c03);
  audio_.config[0x09] = std::byte{0x30};
  audio_.can_function_reset = false;
  devices_ = {&audio_};
  const ResetPlan made = plan();
  EXPECT_TRUE(made.check());
  EXPECT_THAT(made.sets()[0].rungs, ElementsAre(ResetMethod::kNone));
  EXPECT_THAT(made.sets()[0].note, AllOf(HasSubstr(kAudio), HasSubstr("has none")));
  EXPECT_EQ(made.sets()[0].warning, "");
  // What the user asked for and cannot have is refused.
  std::vector<FunctionResetOptions> choices(1);
  choices[0].method = kHot;
  EXPECT_FALSE(ResetPlan::create(host_, devices_, {}, choices)->check());
  audio_.can_function_reset = true;
  EXPECT_EQ(plan().sets()[0].note, "");
}

TEST_F(ResetPlanTest, AGpuWithoutAnyResetIsRefusedUnlessTheUserSaysNone) {
  host_.sets.clear();
  gpu_.can_function_reset = false;
  devices_ = {&gpu_};
  for (const std::uint16_t class_code : std::to_array<std::uint16_t>({0x0300, 0x0302, 0x1200})) {
    gpu_.set16(0x0a, class_code);
    EXPECT_THAT(plan().check().error().message(), HasSubstr("reset = \"none\""));
  }
  std::vector<FunctionResetOptions> choices(1);
  choices[0].method = ResetMethod::kNone;
  EXPECT_TRUE(ResetPlan::create(host_, devices_, {}, choices)->check());
}

// docs/reset.md: the user's choice wins over every row, with a warning where that forbids it.
TEST_F(ResetPlanTest, EveryRowGivesWayToTheUser) {
  for (const std::uint16_t device :
       std::to_array<std::uint16_t>({0x67df, 0x687f, 0x7310, 0x740f})) {
    for (const ResetMethod method : {kHot, kFunction, ResetMethod::kNone}) {
      SCOPED_TRACE(fmt::format("{:04x} {}", device, to_string(method)));
      set_gpu(0x1002, device);
      std::vector<FunctionResetOptions> choices(2);
      choices[0].method = method;
      const auto made = ResetPlan::create(host_, devices_, {}, choices).value();
      EXPECT_THAT(made.sets()[0].rungs, ElementsAre(method));
      EXPECT_EQ(made.sets()[0].warning.empty(), method == kFunction && device != 0x740f);
    }
  }
}

TEST_F(ResetPlanTest, ShowsItself) {
  InspectNode node;
  plan().inspect(node);
  const std::string text = node.to_text();
  EXPECT_THAT(text, AllOf(HasSubstr("hot reset, then function reset"), HasSubstr("1234:5678"),
                          HasSubstr("unknown device"), HasSubstr("generation 3 x8")));
}

TEST_F(ResetPlanTest, LinkIsTrainedAgainRightAfterAHotReset) {
  host_.can_retrain = true;
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kHot, ResetMethod::kLinkRetrain, kFunction));
  set_gpu(0x10de, 0x2c05);  // GB203
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kFunction, kHot, ResetMethod::kLinkRetrain));
  set_gpu(0x10de, 0x1eb8);  // T4
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kFunction));
  devices_ = {&gpu_};  // a hot reset would hit a stranger, and so does the link
  EXPECT_THAT(plan().sets()[0].rungs, ElementsAre(kFunction));
}

}  // namespace
}  // namespace gpuvm::reset_plan_test
