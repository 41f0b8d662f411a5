// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/device_claim.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/driver_binding.hpp"

namespace gpuvm::device_claim_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kGpu = "0000:01:00.0";
const std::string kFile = "/run/gpuvm/0000:01:00.0.state";

class DeviceClaimTest : public testing::Test {
 protected:
  DeviceClaimTest() {
    host_.directory("/run/gpuvm");
    host_.add_driver("vfio-pci");
    host_.add_device(kGpu, "0x030000", 13, "nouveau");
  }
  DeviceClaim take(std::string_view owner = "guest main") {
    auto claim = DeviceClaim::take(host_, bdf_of(kGpu), owner);
    EXPECT_TRUE(claim) << claim.error().to_string();
    return std::move(claim).value();
  }
  FakeHost host_;
};

TEST_F(DeviceClaimTest, CleanFunctionLeavesNothingBehind) {
  {
    const DeviceClaim claim = take();
    EXPECT_FALSE(claim.is_dirty());
    EXPECT_TRUE(host_.exists(kFile));
  }
  EXPECT_FALSE(host_.exists(kFile));
  EXPECT_THAT(recorded_devices(host_), IsEmpty());
}

// Whoever may write there could take a record away, and a second guest the device.
TEST_F(DeviceClaimTest, TheFoldersOwnerAloneMayWriteThere) {
  const std::string folder = host_.path("/run/gpuvm");
  const auto mode = [&folder] {
    struct stat info {};
    EXPECT_EQ(::stat(folder.c_str(), &info), 0);
    return info.st_mode & 07777;
  };
  ASSERT_EQ(::rmdir(folder.c_str()), 0);
  const mode_t before = ::umask(0);
  { const DeviceClaim claim = take(); }
  ::umask(before);
  EXPECT_EQ(mode(), 0755U);
  for (const mode_t open_to_others : {0777U, 0775U, 01777U, 01775U}) {
    SCOPED_TRACE(open_to_others);
    ASSERT_EQ(::chmod(folder.c_str(), open_to_others), 0);
    const auto refused = DeviceClaim::take(host_, bdf_of(kGpu), "guest main");
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("chmod go-w"));
  }
  ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(folder.c_str(), 65534, 65534), 0);
    const auto of_another = DeviceClaim::take(host_, bdf_of(kGpu), "guest main");
    ASSERT_FALSE(of_another);
    EXPECT_THAT(of_another.error().message(), HasSubstr("another user (id 65534)"));
  }
}

TEST_F(DeviceClaimTest, SecondOwnerHearsWhoTheFirstIs) {
  const DeviceClaim claim = take("guest main");
  const auto second = DeviceClaim::take(host_, bdf_of(kGpu), "guest other");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(second.error().message(),
              AllOf(HasSubstr(kGpu), HasSubstr("guest main"), HasSubstr(std::to_string(getpid()))));
  EXPECT_TRUE(host_.exists(kFile)) << "the loser must not remove the winner's file";
}

TEST_F(DeviceClaimTest, MarkOutlivesItsOwnerUntilAnotherClearsIt) {
  { EXPECT_TRUE(take().mark_dirty("in use by\nguest main", "10de 128b")); }
  EXPECT_THAT(recorded_devices(host_), ElementsAre(bdf_of(kGpu)));
  { EXPECT_TRUE(take("guest next").is_dirty()); }  // took it and did nothing
  {
    DeviceClaim claim = take("guest third");
    EXPECT_EQ(claim.left_behind().dirty, "in use by guest main");
    EXPECT_EQ(claim.left_behind().looks, "10de 128b");
    EXPECT_TRUE(claim.mark_clean());
  }
  EXPECT_FALSE(host_.exists(kFile));
}

TEST_F(DeviceClaimTest, MarkIsOnDiskWhileTheOwnerLives) {
  DeviceClaim claim = take();
  ASSERT_TRUE(claim.mark_dirty("a much longer text than the one after it", ""));
  ASSERT_TRUE(claim.mark_dirty("short", ""));
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->dirty, "short");
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->owner, "guest main");
}

TEST_F(DeviceClaimTest, DamagedRecordCountsAsDirty) {
  for (const std::string text : {"x", "owner=a\npid=1\ndirty=\n", "\n", "en"}) {
    EXPECT_FALSE(DeviceRecord::parse(text).dirty.empty()) << text;
  }
  EXPECT_TRUE(DeviceRecord::parse("").dirty.empty());
  EXPECT_TRUE(DeviceRecord::parse("owner=a\npid=-x\ndirty=\nlooks=\nend\ntail").dirty.empty());
}

TEST_F(DeviceClaimTest, FailedResetIsNotedUntilTheFunctionIsClean) {
  {
    DeviceClaim claim = take();
    ASSERT_TRUE(claim.mark_dirty("did not come back", "as it was", DirtCause::kFailedReset));
    EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->cause, DirtCause::kFailedReset);
    EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->looks, "as it was");
  }
  DeviceClaim claim = take();
  EXPECT_EQ(claim.left_behind().cause, DirtCause::kFailedReset);
  ASSERT_TRUE(claim.mark_dirty("the guest has it", ""));
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->cause, DirtCause::kUse) << "another try";
  ASSERT_TRUE(claim.mark_dirty("did not come back", "", DirtCause::kFailedReset));
  ASSERT_TRUE(claim.mark_clean());
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->cause, DirtCause::kUse);
  EXPECT_EQ(DeviceRecord::parse("owner=a\nreset=odd\nend\n").cause, DirtCause::kUse);
}

TEST_F(DeviceClaimTest, WhatIsToBeOverwrittenIsOwedUntilTheFunctionIsClean) {
  {
    DeviceClaim claim = take();
    EXPECT_EQ(claim.owed_scrub(), "");
    ASSERT_TRUE(claim.mark_dirty("the guest has it", "as it was"));
    ASSERT_TRUE(claim.owe_scrub("vram\n600"));
    ASSERT_TRUE(claim.mark_dirty("did not come back", "as it was", DirtCause::kFailedReset));
    EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->scrub, "vram 600");
    EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->cause, DirtCause::kFailedReset);
  }
  DeviceClaim claim = take();
  EXPECT_EQ(claim.owed_scrub(), "vram 600");
  ASSERT_TRUE(claim.owe_scrub(""));
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->scrub, "");
  ASSERT_TRUE(claim.owe_scrub("vram 600"));
  ASSERT_TRUE(claim.mark_clean());
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->scrub, "");
}

TEST_F(DeviceClaimTest, OwnerIsSeenWithoutATouchOfItsLock) {
  EXPECT_FALSE(current_owner(host_, bdf_of(kGpu)));
  const std::string descriptors = fmt::format("/proc/{}/fd", getpid());
  {
    const DeviceClaim claim = take("guest main");
    EXPECT_FALSE(current_owner(host_, bdf_of(kGpu))) << "its process has other files";
    host_.link(descriptors + "/3", host_.path("/run/gpuvm/other.state"));
    host_.link(descriptors + "/4", host_.path(kFile));
    ASSERT_TRUE(current_owner(host_, bdf_of(kGpu)));
    EXPECT_EQ(current_owner(host_, bdf_of(kGpu))->owner, "guest main");
  }
  EXPECT_FALSE(current_owner(host_, bdf_of(kGpu)));
  host_.file(kFile, "owner=a\npid=0\ndirty=\nlooks=\nend\n");
  EXPECT_FALSE(current_owner(host_, bdf_of(kGpu))) << "nobody has the number 0";
}

// To another process, by its descriptor (unix(7), SCM_RIGHTS): the lock is the open file's.
TEST_F(DeviceClaimTest, ChangesHandsWithItsLock) {
  UniqueFd file;
  {
    DeviceClaim claim = take("guest main");
    ASSERT_TRUE(claim.mark_dirty("the guest has it", "10de 128b"));
    file = claim.hand_over();
    ASSERT_TRUE(file);
    EXPECT_TRUE(claim.mark_clean()) << "it is not this one's any more";
  }
  EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->dirty, "the guest has it");
  EXPECT_FALSE(DeviceClaim::take(host_, bdf_of(kGpu), "guest other")) << "locked all the time";
  {
    auto adopted = DeviceClaim::adopt(host_, bdf_of(kGpu), std::move(file));
    ASSERT_TRUE(adopted) << adopted.error().to_string();
    EXPECT_EQ(adopted->left_behind().looks, "10de 128b");
    EXPECT_EQ(read_device_record(host_, bdf_of(kGpu))->owner, "guest main");
    EXPECT_FALSE(DeviceClaim::take(host_, bdf_of(kGpu), "guest other"));
    ASSERT_TRUE(adopted->mark_clean());
  }
  EXPECT_FALSE(host_.exists(kFile));
  EXPECT_TRUE(DeviceClaim::adopt(host_, bdf_of(kGpu), UniqueFd())) << "one without a file";
}

TEST_F(DeviceClaimTest, DirtyFunctionIsNotGivenBackToItsDriver) {
  {
    auto binding = DriverBinding::create(host_, std::vector{bdf_of(kGpu)});
    ASSERT_TRUE(binding) << binding.error().to_string();
    EXPECT_TRUE(take().mark_dirty("did not come back", ""));
  }
  EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
  const auto refused = restore_binding(host_, bdf_of(kGpu));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(refused.error().message(),
              AllOf(HasSubstr("did not come back"), HasSubstr("gpuvm reset " + kGpu)));
  EXPECT_EQ(restore_bindings(host_).at(0).outcome.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_EQ(host_.driver_of(kGpu), "vfio-pci");
  EXPECT_TRUE(*restore_binding(host_, bdf_of(kGpu), IfDirty::kGiveBack));
  EXPECT_EQ(host_.driver_of(kGpu), "nouveau");
  EXPECT_FALSE(host_.exists(kFile));
}

TEST_F(DeviceClaimTest, FunctionThatItsDriverDoesNotTakeBackStaysDirty) {
  {
    auto binding = DriverBinding::create(host_, std::vector{bdf_of(kGpu)});
    ASSERT_TRUE(binding) << binding.error().to_string();
    EXPECT_TRUE(take().mark_dirty("did not come back", "as it was"));
  }
  host_.add_driver("another");
  host_.own_driver[kGpu] = "another";  // takes it when it is probed for
  const auto failed = restore_binding(host_, bdf_of(kGpu), IfDirty::kGiveBack);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), HasSubstr("was not taken back"));
  const auto record = read_device_record(host_, bdf_of(kGpu));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->dirty, "did not come back");
  EXPECT_EQ(record->looks, "as it was");
  host_.own_driver[kGpu] = "nouveau";
  std::filesystem::remove(host_.path("/sys/bus/pci/devices/" + kGpu + "/driver"));
  EXPECT_EQ(restore_binding(host_, bdf_of(kGpu)).error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_TRUE(*restore_binding(host_, bdf_of(kGpu), IfDirty::kGiveBack));
  EXPECT_FALSE(host_.exists(kFile));
}

TEST_F(DeviceClaimTest, FunctionThatALivingOwnerHasIsNotRestored) {
  const DeviceClaim claim = take("guest main");
  const auto outcome = restore_binding(host_, bdf_of(kGpu), IfDirty::kGiveBack);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message(), HasSubstr("guest main"));
}

}  // namespace
}  // namespace gpuvm::device_claim_test
