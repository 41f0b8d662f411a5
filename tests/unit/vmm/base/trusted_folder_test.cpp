// SPDX-License-Identifier: Apache-2.0
// Which folders are trusted, and what is said of the others.
#include "vmm/base/trusted_folder.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gpuvm::trusted_folder_test {
namespace {

constexpr uid_t kSomebody = 65534;

class TrustedFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/gpuvm-trust-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    above_ = pattern;
    folder_ = above_ + "/run";
  }
  void TearDown() override { std::filesystem::remove_all(above_); }

  void make(mode_t mode) const {
    ASSERT_EQ(::mkdir(folder_.c_str(), 0700), 0);
    ASSERT_EQ(::chmod(folder_.c_str(), mode), 0);
  }
  static std::string refused(const Result<UniqueFd>& folder) {
    EXPECT_FALSE(folder);
    return folder ? "" : folder.error().to_string();
  }

  std::string above_;
  std::string folder_;
};

TEST_F(TrustedFolder, OneOfOursIs) {
  make(0755);
  auto folder = open_trusted_folder(folder_ + "//");
  ASSERT_TRUE(folder) << folder.error().to_string();
  struct stat here {};
  struct stat there {};
  ASSERT_EQ(::fstat(folder->get(), &here), 0);
  ASSERT_EQ(::stat(folder_.c_str(), &there), 0);
  EXPECT_EQ(here.st_ino, there.st_ino);
  EXPECT_TRUE(make_trusted_folder(folder_));
}

TEST_F(TrustedFolder, OneThatIsNotThereIsNoError) {
  const auto folder = open_trusted_folder(folder_);
  ASSERT_TRUE(folder) << folder.error().to_string();
  EXPECT_FALSE(*folder);
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST_F(TrustedFolder, IsMadeForItsOwnerToWrite) {
  const auto folder = make_trusted_folder(folder_);
  ASSERT_TRUE(folder) << folder.error().to_string();
  struct stat found {};
  ASSERT_EQ(::stat(folder_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0022U, 0U);
  EXPECT_NE(refused(make_trusted_folder(above_ + "/no/run")).find("/no/run"), std::string::npos);
}

TEST_F(TrustedFolder, OneThatOthersWriteIsNotWithoutTheStickyBit) {
  make(0770);
  EXPECT_NE(refused(open_trusted_folder(folder_)).find("chmod go-w " + folder_), std::string::npos);
  ASSERT_EQ(::chmod(folder_.c_str(), 0707), 0);
  EXPECT_NE(refused(make_trusted_folder(folder_)).find("mode 0707"), std::string::npos);
  ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
  EXPECT_TRUE(open_trusted_folder(folder_));
}

TEST_F(TrustedFolder, OneOfAnotherUserIsNot) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root gives a folder away";
  }
  make(0755);
  ASSERT_EQ(::chown(folder_.c_str(), kSomebody, kSomebody), 0);
  EXPECT_NE(refused(open_trusted_folder(folder_)).find("another user (id 65534)"),
            std::string::npos);
  EXPECT_FALSE(make_trusted_folder(folder_));
}

TEST_F(TrustedFolder, ALinkToOneIsNot) {
  make(0755);
  const std::string link = above_ + "/link";
  std::filesystem::create_directory_symlink(folder_, link);
  EXPECT_NE(refused(open_trusted_folder(link)).find("symbolic link"), std::string::npos);
  EXPECT_FALSE(open_trusted_folder(link + "/")) << "a slash at the end must not follow it";
  EXPECT_FALSE(make_trusted_folder(link));
}

TEST_F(TrustedFolder, AFileIsNone) {
  std::ofstream(folder_) << "x";
  EXPECT_NE(refused(open_trusted_folder(folder_)).find("is no folder"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::trusted_folder_test
