// SPDX-License-Identifier: Apache-2.0
// The rung behind a hot reset that left no link, or a narrow one: reset_sequence.hpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/physical/reset/reset_sequence_fixture.hpp"

namespace gpuvm::link_retrain_test {
namespace {

using reset_test::kGpu;
using reset_test::ResetSequenceTest;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class LinkRetrainTest : public ResetSequenceTest {
 protected:
  LinkRetrainTest() {
    host_.can_retrain = true;
    gpu_.can_function_reset = false;
    host_.on_hot_reset = [this] {
      gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0013);  // x1
      return Status();
    };
    host_.on_retrain = [this] {
      gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0083);
      return Status();
    };
  }
  History steps() const {
    History only;
    for (const std::string& entry : history_) {
      if (entry.starts_with("hot reset") || entry.starts_with("retrain") ||
          entry.ends_with("function reset")) {
        only.push_back(entry);
      }
    }
    return only;
  }
};

TEST_F(LinkRetrainTest, MendsALinkThatAHotResetLeftNarrow) {
  const auto result = run(plan());
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_THAT(steps(), ElementsAre("hot reset at " + kGpu, "retrain at " + kGpu));
  EXPECT_EQ(result->front().method, ResetMethod::kLinkRetrain);
  EXPECT_EQ(result->front().verdict, ResetVerdict::kVerified);
  EXPECT_THAT(result->front().did_not_help, ElementsAre(ResetMethod::kHotReset));
  EXPECT_THAT(result->front().text, HasSubstr("link width is x1, but was x8"));
}

TEST_F(LinkRetrainTest, FollowsNoHotResetThatHelped) {
  host_.on_hot_reset = nullptr;
  ASSERT_TRUE(run(plan()));
  EXPECT_THAT(steps(), ElementsAre("hot reset at " + kGpu));
}

// A chip that stays locked has no bad link: a rung that cannot help is not tried.
TEST_F(LinkRetrainTest, IsNotTriedWhereTheLinkIsWell) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.set16(0x00, 0x4321);
    return Status();
  };
  refusal(made);
  EXPECT_THAT(steps(), ElementsAre("hot reset at " + kGpu));
}

// The kernel gives up where the link does not come up after the reset; nothing says what of the
// devices was reset then.
TEST_F(LinkRetrainTest, ResetsAgainWhereTheHotResetWentWrong) {
  bool is_up = false;
  const ResetPlan made = plan();
  host_.on_hot_reset = [&] {
    gpu_.is_gone = !is_up;
    return is_up ? Status() : Status(fail(ErrorKind::kHost, "Link does not come up"));
  };
  host_.on_retrain = [&] {
    is_up = true;
    gpu_.is_gone = false;
    return Status();
  };
  const auto result = run(made);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_THAT(steps(),
              ElementsAre("hot reset at " + kGpu, "retrain at " + kGpu, "hot reset at " + kGpu));
}

TEST_F(LinkRetrainTest, LinkThatStaysDownCostsNoSecondMinute) {
  const ResetPlan made = plan();
  host_.on_hot_reset = [this] {
    gpu_.is_gone = true;
    return Status();
  };
  host_.on_retrain = [] { return fail(ErrorKind::kHost, "The link is not up"); };
  EXPECT_THAT(refusal(made), AllOf(HasSubstr("hot reset: "), HasSubstr("link retraining: "),
                                   HasSubstr("The link is not up")));
  EXPECT_LT(time_.time, milliseconds(65000));
}

// What is known not to help goes last; a link that is trained then has had no reset before it.
TEST_F(LinkRetrainTest, BringsItsOwnHotResetWhereNoneWentBefore) {
  ResetPlan made = plan();
  made.try_last(
      [](const std::string&, ResetMethod method) { return method == ResetMethod::kHotReset; });
  ASSERT_TRUE(run(made));
  EXPECT_THAT(steps(), ElementsAre("hot reset at " + kGpu, "retrain at " + kGpu));
}

}  // namespace
}  // namespace gpuvm::link_retrain_test
