// SPDX-License-Identifier: Apache-2.0
// What there is of cards on a host: records of living and of dead owners, and histories.
#include "vmm/fleet/host_look.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/unit/vmm/fleet/look_fixture.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::host_look_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kGpu = "0000:01:00.0";

class HostLookTest : public testing::Test {
 protected:
  HostLookTest() { host_.directory("/run/gpuvm"); }
  void record(const std::string& bdf, const DeviceRecord& record) const {
    host_.file("/run/gpuvm/" + bdf + ".state", record.to_text());
  }
  FakeHost host_;
};

TEST_F(HostLookTest, NothingIsThere) {
  EXPECT_THAT(look_at_cards(host_), IsEmpty());
  EXPECT_EQ(boot_id_of(host_), "");
  EXPECT_NE(host_name(), "");
}

TEST_F(HostLookTest, CardsAreWhatTheirRecordsSay) {
  record("0000:02:00.0", {.owner = "the guest a", .pid = 1, .dirty = "it was killed", .looks = ""});
  record("0000:03:00.0", {.owner = "the guest b",
                          .pid = 1,
                          .dirty = "it did not verify",
                          .looks = "",
                          .cause = DirtCause::kFailedReset});
  ResetHistory history;
  history.add(test::reset_note("hot reset"));
  host_.file(std::string(kResetFolder) + "/0000:02:00.0", history.to_text());
  host_.file(std::string(kResetFolder) + "/0000:04:00.0", history.to_text());
  const auto cards = look_at_cards(host_);
  ASSERT_THAT(cards, SizeIs(3));
  EXPECT_EQ(cards[0].state, FleetCardState::kDirty);
  EXPECT_EQ(cards[0].owner, "the guest a");
  EXPECT_EQ(cards[0].pid, 0) << "process 1 has no such file open";
  EXPECT_EQ(cards[0].text, "it was killed");
  EXPECT_EQ(cards[0].resets.count, 1U);
  EXPECT_EQ(cards[1].state, FleetCardState::kFailed);
  EXPECT_EQ(cards[1].resets.count, 0U);
  EXPECT_EQ(cards[2].function, bdf_of("0000:04:00.0"));
  EXPECT_EQ(cards[2].state, FleetCardState::kFree);
  EXPECT_EQ(cards[2].resets.count, 1U);
}

// What the record says while a guest has it, that it is dirty, is for a crash.
TEST_F(HostLookTest, CardOfALivingOwnerIsUsed) {
  auto claim = DeviceClaim::take(host_, bdf_of(kGpu), "the guest main");
  ASSERT_TRUE(claim);
  ASSERT_TRUE(claim->mark_dirty("the guest main had it when gpuvm ended", ""));
  // In a made-up host /proc is made up, too.
  const std::string descriptors = fmt::format("/proc/{}/fd", ::getpid());
  host_.link(descriptors + "/7", host_.path("/run/gpuvm/" + kGpu + ".state"));
  const auto cards = look_at_cards(host_);
  ASSERT_THAT(cards, SizeIs(1));
  EXPECT_EQ(cards[0].state, FleetCardState::kUsed);
  EXPECT_EQ(cards[0].owner, "the guest main");
  EXPECT_EQ(cards[0].pid, ::getpid());
  EXPECT_EQ(cards[0].text, "");
}

// The process number in its record is one of the container's.
TEST_F(HostLookTest, CardOfAContainerIsUsedByWhoHasItsLock) {
  record(kGpu, {.owner = "the guest pod", .pid = 1, .dirty = "it had it", .looks = ""});
  struct stat info {};
  ASSERT_EQ(::stat(host_.path("/run/gpuvm/" + kGpu + ".state").c_str(), &info), 0);
  const auto lock = [&](const std::string& kind, std::uint64_t inode) {
    return fmt::format("1: {} ADVISORY  WRITE 4008 {:02x}:{:02x}:{} 0 EOF\n", kind,
                       ::major(info.st_dev), ::minor(info.st_dev), inode);
  };
  const std::uint64_t inode = info.st_ino;
  for (const std::string& other :
       {std::string("-> FLOCK"), std::string("POSIX "), std::string("OFDLCK")}) {
    host_.file("/proc/locks",
               fmt::format("\nnonsense\n{}{}", lock(other, inode), lock("FLOCK ", inode + 1)));
    EXPECT_EQ(look_at_cards(host_).at(0).state, FleetCardState::kDirty) << other;
  }
  host_.file("/proc/locks", lock("POSIX ", 1) + lock("FLOCK ", inode));
  const auto cards = look_at_cards(host_);
  ASSERT_THAT(cards, SizeIs(1));
  EXPECT_EQ(cards[0].state, FleetCardState::kUsed);
  EXPECT_EQ(cards[0].owner, "the guest pod");
  EXPECT_EQ(cards[0].pid, 4008);
}

TEST_F(HostLookTest, DamagedFilesAreSaidToBe) {
  host_.file("/run/gpuvm/" + kGpu + ".state", "owner=x\n");
  host_.file(std::string(kResetFolder) + "/" + kGpu, "count=9\n");
  const auto cards = look_at_cards(host_);
  ASSERT_THAT(cards, SizeIs(1));
  EXPECT_EQ(cards[0].state, FleetCardState::kDirty);
  EXPECT_THAT(cards[0].text, HasSubstr("damaged"));
  EXPECT_EQ(cards[0].resets.count, 0U);
}

}  // namespace
}  // namespace gpuvm::host_look_test
