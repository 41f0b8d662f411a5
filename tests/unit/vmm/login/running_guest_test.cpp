// SPDX-License-Identifier: Apache-2.0
// The files by which guests that run are found: who is dead is not, whatever is left of them.
#include "vmm/login/running_guest.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gpuvm::running_guest_test {
namespace {

class RunningGuests : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/gpuvm-run-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    folders_ = {folder_};
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                                  std::filesystem::directory_iterator()));
  }

  std::string folder_;
  std::vector<std::string> folders_;
};

TEST_F(RunningGuests, RecordsSurviveTheirText) {
  const GuestRecord record{.name = "g",
                           .pid = 7,
                           .address = "::1",
                           .port = 2222,
                           .cid = 5,
                           .key = "/k=y",
                           .known_hosts = "/h"};
  EXPECT_EQ(GuestRecord::parse(record.to_text()), record);
  const GuestRecord least{.name = "g"};
  EXPECT_EQ(GuestRecord::parse(least.to_text()), least);
}

TEST_F(RunningGuests, TextsThatAreNone) {
  const auto whole = GuestRecord{.name = "g", .pid = 7}.to_text();
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    EXPECT_FALSE(GuestRecord::parse(whole.substr(0, size))) << size;
  }
  EXPECT_FALSE(GuestRecord::parse("end\n"));
  EXPECT_EQ(GuestRecord::parse("name=g\nport=70000\npid=x\nend\n"), GuestRecord{.name = "g"});
}

TEST_F(RunningGuests, AnnouncedAndGone) {
  {
    auto first = RunningGuest::announce(folder_, {.name = "one", .port = 22});
    ASSERT_TRUE(first);
    auto moved = std::move(first).value();
    auto second = RunningGuest::announce(folder_, {.name = "a"});
    ASSERT_TRUE(second);
    const auto guests = running_guests(folders_);
    ASSERT_EQ(guests.size(), 2U);
    EXPECT_EQ(guests[0].name, "a");
    EXPECT_EQ(guests[1].port, 22);
    struct stat info {};
    ASSERT_EQ(::stat(guests[1].known_hosts.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    ASSERT_EQ(::stat((folder_ + "/guest-one.run").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
  }
  EXPECT_TRUE(running_guests(folders_).empty());
  EXPECT_EQ(files(), 0U);
}

TEST_F(RunningGuests, OneOfAName) {
  const auto first = RunningGuest::announce(folder_, {.name = "g", .pid = 12});
  ASSERT_TRUE(first);
  const auto second = RunningGuest::announce(folder_, {.name = "g", .pid = 13});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().to_string(), "A guest named g runs already (gpuvm, pid 12)");
  ASSERT_EQ(running_guests(folders_).size(), 1U);
  EXPECT_EQ(running_guests(folders_)[0].pid, 12);
}

// A gpuvm that was killed leaves its files: nobody takes them for a guest, and the next one of the
// name has them, without the host keys.
TEST_F(RunningGuests, WhatADeadOneLeft) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto announced = RunningGuest::announce(folder_, {.name = "g", .pid = 12});
    std::ofstream(folder_ + "/guest-g.known_hosts") << "g ssh-ed25519 AAAA\n";
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(files(), 2U);
  EXPECT_TRUE(running_guests(folders_).empty());
  const auto next = RunningGuest::announce(folder_, {.name = "g", .pid = 13});
  ASSERT_TRUE(next);
  EXPECT_EQ(running_guests(folders_)[0].pid, 13);
  EXPECT_EQ(std::filesystem::file_size(folder_ + "/guest-g.known_hosts"), 0U);
}

TEST_F(RunningGuests, WhatAKilledOneLeftIsForgotten) {
  std::ofstream(folder_ + "/guest-g.run") << "name=g\nend\n";  // not locked
  std::ofstream(folder_ + "/guest-g.known_hosts") << "g ssh-ed25519 AAAA\n";
  const auto running = RunningGuest::announce(folder_, {.name = "h", .pid = 12});
  ASSERT_TRUE(running);
  ASSERT_EQ(files(), 4U);
  RunningGuest::forget_killed(folder_, "h");
  RunningGuest::forget_killed(folder_, "absent");
  RunningGuest::forget_killed(folder_ + "/absent", "g");
  EXPECT_EQ(files(), 4U);
  RunningGuest::forget_killed(folder_, "g");
  EXPECT_EQ(files(), 2U);
  EXPECT_EQ(running_guests(folders_).size(), 1U);
}

TEST_F(RunningGuests, OtherFilesInTheFolder) {
  std::ofstream(folder_ + "/guest-x.run") << "name=x\nend\n";  // not locked
  std::ofstream(folder_ + "/0000:01:00.0.state") << "owner=x\nend\n";
  std::filesystem::create_directory(folder_ + "/guest-folder.run");
  std::filesystem::create_symlink("/etc/passwd", folder_ + "/guest-link.run");
  EXPECT_TRUE(running_guests(folders_).empty());
  EXPECT_TRUE(running_guests(std::vector<std::string>{folder_ + "/absent"}).empty());
  EXPECT_FALSE(RunningGuest::announce(folder_, {.name = "link"})) << "a link is followed";
}

// Its known_hosts would be somebody else's to write.
TEST_F(RunningGuests, AFolderThatOthersWriteIsNotUsed) {
  ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
  const auto announced = RunningGuest::announce(folder_, {.name = "g"});
  ASSERT_FALSE(announced);
  EXPECT_NE(announced.error().to_string().find("chmod go-w"), std::string::npos);
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace gpuvm::running_guest_test
