// SPDX-License-Identifier: Apache-2.0
// Every report in tests/fixtures/reports: what gpuvm decides of it, what a guest sees of it, and
// the whole reset sequence against it, well and with faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "devices/pci/capability_chain.hpp"
#include "devices/physical/reset/reset_sequence.hpp"
#include "tests/fixtures/reports/replayed_function.hpp"
#include "vmm/machine/report/decide.hpp"
#include "vmm/machine/report_file/write_report.hpp"

namespace gpuvm::replay_test {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

struct Expected {
  const char* name;
  std::size_t functions;
  std::vector<const char*> policies;  ///< of each function
  std::vector<Words> orders;          ///< of each set
  bool is_opened;                     ///< has VFIO's word
};

const std::vector<Expected>& all_expected() {
  static const std::vector<Expected> kAll = {
      {"dump-nvidia-ga104", 1, {"NVIDIA Turing to Ada"}, {{"hot reset", "function reset"}}, false},
      {"lab-gpu", 2, {"unknown device", "unknown device"}, {{"hot reset"}}, true},
      {"lab-nvme", 1, {"unknown device"}, {{"hot reset", "function reset"}}, true},
      {"lab-usb", 1, {"unknown device"}, {{"hot reset", "function reset"}}, true},
      {"lab-vgpu", 1, {"unknown device"}, {{"hot reset", "function reset"}}, true},
  };
  return kAll;
}

/// A clock that only moves by sleeping.
struct ReplayClock {
  std::chrono::milliseconds time{0};
  ResetClock clock() {
    return {[this] { return time; }, [this](std::chrono::milliseconds length) { time += length; }};
  }
};

std::vector<ResetCertificate> reset_card(test::ReplayedCard& card) {
  const auto devices = card.devices();
  const auto plan = ResetPlan::create(card, devices);
  EXPECT_TRUE(plan) << plan.error().to_string();
  for (const auto& function : card.functions) {
    function->make_busy();
  }
  ReplayClock clock;
  return reset_all(card, *plan, clock.clock());
}

class Replay : public testing::TestWithParam<Expected> {
 protected:
  void SetUp() override {
    auto read = test::fixture_report(GetParam().name);
    ASSERT_TRUE(read) << read.error().to_string();
    report_ = std::move(read).value();
    ASSERT_EQ(report_.functions.size(), GetParam().functions);
  }
  CardReport report_;
};

TEST_P(Replay, IsDecidedAsExpected) {
  const auto decision = decide(report_);
  EXPECT_EQ(decision.plan_error, "");
  ASSERT_EQ(decision.functions.size(), GetParam().policies.size());
  for (std::size_t i = 0; i < decision.functions.size(); ++i) {
    EXPECT_EQ(decision.functions[i].policy, GetParam().policies[i]);
    EXPECT_EQ(decision.functions[i].patch_error, "");
  }
  ASSERT_EQ(decision.sets.size(), GetParam().orders.size());
  for (std::size_t i = 0; i < decision.sets.size(); ++i) {
    EXPECT_EQ(decision.sets[i].order, GetParam().orders[i]);
  }
}

TEST_P(Replay, IsWrittenAsItWasRead) {
  const auto again = parse_report(to_json_text(report_));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(to_json_text(*again), to_json_text(report_));
  EXPECT_EQ(report_.functions[0].vfio.has_value(), GetParam().is_opened);
}

// What a start decides by VFIO's word is what a preview decided by sysfs before.
TEST_P(Replay, SysfsAndVfioTellTheSame) {
  CardReport by_sysfs = report_;
  for (FunctionRecord& function : by_sysfs.functions) {
    function.vfio.reset();
  }
  const auto before = decide(by_sysfs);
  const auto after = decide(report_);
  ASSERT_EQ(before.sets.size(), after.sets.size());
  for (std::size_t i = 0; i < after.sets.size(); ++i) {
    EXPECT_EQ(before.sets[i].order, after.sets[i].order);
  }
  for (std::size_t i = 0; i < after.functions.size(); ++i) {
    EXPECT_EQ(before.functions[i].shown, after.functions[i].shown);
    EXPECT_EQ(before.functions[i].not_shown, after.functions[i].not_shown);
  }
}

TEST_P(Replay, GuestSeesChainsThatEnd) {
  for (const FunctionRecord& function : report_.functions) {
    const auto view = guest_config(report_, function);
    ASSERT_TRUE(view) << view.error().to_string();
    EXPECT_EQ(view->size(), function.config.bytes.size());
    // Emulated VGA has none.
    EXPECT_EQ(standard_capabilities(*view).empty(),
              standard_capabilities(function.config.bytes).empty());
  }
}

TEST_P(Replay, IsResetAndVerified) {
  test::ReplayedCard card(report_);
  for (const ResetCertificate& certificate : reset_card(card)) {
    EXPECT_EQ(certificate.verdict, ResetVerdict::kVerified) << certificate.text;
  }
  for (const auto& function : card.functions) {
    EXPECT_EQ(function->resets, 1U);
  }
}

TEST_P(Replay, OneThatIsDeadAfterwardsIsFound) {
  test::ReplayedCard card(report_);
  card.functions.back()->after_reset = [](std::vector<std::byte>& config) {
    std::fill(config.begin(), config.end(), std::byte{0xff});
  };
  const auto certificates = reset_card(card);
  EXPECT_EQ(certificates.back().verdict, ResetVerdict::kFailed);
  EXPECT_THAT(certificates.back().text, HasSubstr("did not answer"));
}

TEST_P(Replay, OneThatLosesACapabilityIsFound) {
  test::ReplayedCard card(report_);
  // The last one: a card's first function may have none.
  card.functions.back()->after_reset = [](std::vector<std::byte>& config) {
    config[0x34] = std::byte{0};
  };
  EXPECT_EQ(reset_card(card).back().verdict, ResetVerdict::kFailed);
}

INSTANTIATE_TEST_SUITE_P(Reports, Replay, testing::ValuesIn(all_expected()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A report that lies there unread teaches nothing.
TEST(Reports, EachHasARow) {
  std::set<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::source_file("tests/fixtures/reports"))) {
    if (entry.path().extension() == ".json") {
      files.insert(entry.path().stem());
    }
  }
  std::set<std::string> rows;
  for (const Expected& expected : all_expected()) {
    rows.insert(expected.name);
  }
  EXPECT_EQ(files, rows);
}

}  // namespace
}  // namespace gpuvm::replay_test
