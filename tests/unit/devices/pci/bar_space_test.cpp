// SPDX-License-Identifier: Apache-2.0
// BarSpace: placement rules, with windows that record what happens to them.
#include "devices/pci/bar_space.hpp"

#include <gtest/gtest.h>

#include "vmm/base/units.hpp"

namespace gpuvm::bar_space_test {
namespace {

constexpr std::uint64_t kMiB = 1_MiB;

class FakeWindow : public BarWindow {
 public:
  FakeWindow(std::string name, std::uint64_t size, std::vector<std::string>& history,
             BarSpaceKind kind = BarSpaceKind::kMemory)
      : name_(std::move(name)), size_(size), history_(history), kind_(kind) {}
  std::string_view name() const override { return name_; }
  BarSpaceKind kind() const override { return kind_; }
  std::uint64_t size() const override { return size_; }
  Status map(std::uint64_t at) override {
    EXPECT_FALSE(at_) << "mapped twice";
    history_.push_back(fmt::format("{} at {:#x}", name_, at));
    if (failures > 0) {
      --failures;
      return fail(ErrorKind::kHost, "Out of slots");
    }
    at_ = at;
    return {};
  }
  void unmap() override {
    EXPECT_TRUE(at_);
    history_.push_back(name_ + " off");
    at_.reset();
  }
  int failures = 0;
  std::optional<std::uint64_t> at_;

 private:
  const std::string name_;
  const std::uint64_t size_;
  std::vector<std::string>& history_;
  const BarSpaceKind kind_;
};

using History = std::vector<std::string>;

class BarSpaceTest : public ::testing::Test {
 protected:
  void put(FakeWindow& window, std::optional<std::uint64_t> at) {
    const BarSpace::Placement placement{&window, at};
    space_.update({&placement, 1});
  }
  std::size_t slot_changes() const { return history_.size(); }

  History history_;
  BarSpace space_{{{*GuestRange::create(GuestAddress(0), 2048 * kMiB), "RAM"},
                   {*GuestRange::create(GuestAddress(0xfee00000), kMiB), "the local APIC"}}};
  FakeWindow a_{"a", kMiB, history_};
  FakeWindow b_{"b", kMiB, history_};
};

TEST_F(BarSpaceTest, DecodeOffIsLazy) {
  put(a_, 0xe0000000);
  put(a_, std::nullopt);
  put(a_, 0xe0000000);
  EXPECT_EQ(history_, (History{"a at 0xe0000000"}));
}

TEST_F(BarSpaceTest, MoveUnmapsTheOldPlaceFirst) {
  put(a_, 0xe0000000);
  put(a_, 0xe1000000);
  EXPECT_EQ(history_, (History{"a at 0xe0000000", "a off", "a at 0xe1000000"}));
}

TEST_F(BarSpaceTest, StaleMappingInTheWayIsEvicted) {
  put(a_, 0xe0000000);
  put(a_, std::nullopt);
  put(b_, 0xe0000000);
  EXPECT_EQ(history_, (History{"a at 0xe0000000", "a off", "b at 0xe0000000"}));
  EXPECT_EQ(a_.at_, std::nullopt);
}

TEST_F(BarSpaceTest, LiveNeighbourIsNotOverlapped) {
  FakeWindow big("big", 2 * kMiB, history_);
  put(a_, 0xe0100000);
  put(big, 0xe0000000);
  EXPECT_EQ(big.at_, std::nullopt);
  EXPECT_EQ(a_.at_, 0xe0100000U);
  EXPECT_EQ(space_.refused(), 1U);
}

TEST_F(BarSpaceTest, RefusedMoveKeepsTheOldMapping) {
  put(a_, 0xe0000000);
  put(a_, 0x1000000);  // RAM
  EXPECT_EQ(a_.at_, 0xe0000000U);
  put(a_, 0xfee00000);
  EXPECT_EQ(a_.at_, 0xe0000000U);
  EXPECT_EQ(space_.refused(), 2U);
  put(b_, 0xe0000000);  // which is in nobody's way
  EXPECT_EQ(b_.at_, 0xe0000000U);
  EXPECT_EQ(a_.at_, std::nullopt);
}

TEST_F(BarSpaceTest, AForbiddenRangeMoves) {
  put(a_, 0xe0000000);
  put(b_, 0xb0000000);
  space_.set_forbidden("ECAM", GuestRange::create(GuestAddress(0xe0000000), 256 * kMiB));
  EXPECT_EQ(a_.at_, std::nullopt) << "what is in its way goes";
  space_.set_forbidden("ECAM", GuestRange::create(GuestAddress(0xb0000000), 256 * kMiB));
  EXPECT_EQ(a_.at_, 0xe0000000U) << "and comes back";
  EXPECT_EQ(b_.at_, std::nullopt);
  space_.set_forbidden("ECAM", std::nullopt);
  EXPECT_EQ(b_.at_, 0xb0000000U);
}

TEST_F(BarSpaceTest, FailedMapRollsBack) {
  put(a_, 0xe0000000);
  a_.failures = 1;
  put(a_, 0xe1000000);
  EXPECT_EQ(history_, (History{"a at 0xe0000000", "a off", "a at 0xe1000000", "a at 0xe0000000"}));
  EXPECT_EQ(a_.at_, 0xe0000000U);
}

TEST_F(BarSpaceTest, FailedRollBackLeavesItUnmapped) {
  put(a_, 0xe0000000);
  a_.failures = 2;
  put(a_, 0xe1000000);
  EXPECT_EQ(a_.at_, std::nullopt);
  put(b_, std::nullopt);  // anything makes it try again
  EXPECT_EQ(a_.at_, 0xe1000000U);
}

TEST_F(BarSpaceTest, TwoFunctionsSwapWithDecodeOff) {
  put(a_, 0xe0000000);
  put(b_, 0xe1000000);
  put(a_, std::nullopt);
  put(b_, std::nullopt);
  put(a_, 0xe1000000);
  put(b_, 0xe0000000);
  EXPECT_EQ(a_.at_, 0xe1000000U);
  EXPECT_EQ(b_.at_, 0xe0000000U);
  EXPECT_EQ(space_.refused(), 0U);
}

TEST_F(BarSpaceTest, TwoFunctionsSwapWithDecodeOn) {
  put(a_, 0xe0000000);
  put(b_, 0xe1000000);
  put(a_, 0xe1000000);  // refused for now
  put(b_, 0xe0000000);  // a's old mapping is stale, and a may follow
  EXPECT_EQ(a_.at_, 0xe1000000U);
  EXPECT_EQ(b_.at_, 0xe0000000U);
}

TEST_F(BarSpaceTest, OneFunctionSwapsItsBarsAtOnce) {
  put(a_, 0xe0000000);
  put(b_, 0xe1000000);
  const std::vector<BarSpace::Placement> swap{{&a_, 0xe1000000}, {&b_, 0xe0000000}};
  space_.update(swap);
  EXPECT_EQ(a_.at_, 0xe1000000U);
  EXPECT_EQ(b_.at_, 0xe0000000U);
  EXPECT_EQ(space_.refused(), 0U);
}

TEST_F(BarSpaceTest, WithdrawIsNow) {
  put(a_, 0xe0000000);
  BarWindow* const windows[] = {&a_};
  space_.withdraw(windows);
  EXPECT_EQ(history_.back(), "a off");
  put(b_, 0xe1000000);  // does not bring a back
  EXPECT_EQ(a_.at_, std::nullopt);
}

TEST_F(BarSpaceTest, PortsAndMemoryDoNotMeet) {
  FakeWindow ports("p", 128, history_, BarSpaceKind::kIo);
  FakeWindow more("q", 128, history_, BarSpaceKind::kIo);
  put(ports, 0xe000);
  put(more, 0xe000);
  EXPECT_EQ(ports.at_, 0xe000U);  // RAM at 0xe000 is another space
  EXPECT_EQ(more.at_, std::nullopt);
  put(more, 0x10000);
  EXPECT_EQ(more.at_, std::nullopt);
}

TEST_F(BarSpaceTest, HostileAddresses) {
  for (const std::uint64_t at : {~0ULL, ~0ULL << 20, 1ULL, 0xe0000001ULL, 0ULL}) {
    put(a_, at);
  }
  EXPECT_EQ(a_.at_, std::uint64_t{~0ULL << 20});  // the last MiB there is
  put(a_, 0xe0000000);
  EXPECT_EQ(a_.at_, 0xe0000000U);
}

TEST_F(BarSpaceTest, InspectShowsWhatIsRefused) {
  put(a_, 0xfee00000);
  InspectNode node;
  space_.inspect(node);
  EXPECT_EQ(node.get("refused_placements"), "1");
  EXPECT_EQ(node.child("a").get("refused_at"), "0xfee00000");
}

}  // namespace
}  // namespace gpuvm::bar_space_test
