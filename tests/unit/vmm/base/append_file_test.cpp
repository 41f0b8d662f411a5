// SPDX-License-Identifier: Apache-2.0
// Which files lines are appended to, and which are left as they are.
#include "vmm/base/append_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace gpuvm::append_file_test {
namespace {

class AppendFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/gpuvm-append-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/lines";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void append(std::string_view text, AppendedLines lines = AppendedLines::kJson) const {
    const auto file = open_to_append(path_, lines, "--events");
    ASSERT_TRUE(file) << file.error().to_string();
    ASSERT_EQ(::write(file->get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string refused(AppendedLines lines = AppendedLines::kJson) const {
    const auto file = open_to_append(path_, lines, "--events");
    EXPECT_FALSE(file);
    return file ? "" : file.error().to_string();
  }
  bool is_refused(std::string_view why, AppendedLines lines = AppendedLines::kJson) const {
    return refused(lines).find(why) != std::string::npos;
  }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  std::string folder_;
  std::string path_;
};

TEST_F(AppendFile, RunsAppendToTheirOwn) {
  append("{\"a\":1}\n");
  append("{\"a\":2}\n");
  EXPECT_EQ(content(), "{\"a\":1}\n{\"a\":2}\n");
  std::filesystem::remove(path_);
  append("2026-11-30T12:00:00.000 info: x\n", AppendedLines::kDated);
  append("2026-11-30T12:00:01.000 info: y\n", AppendedLines::kDated);
  std::filesystem::remove(path_);
  std::ofstream(path_).flush();
  append("{}\n");  // an empty one is nobody's
}

// As `gpuvm run --events /etc/passwd` by root.
TEST_F(AppendFile, WhatHoldsSomethingElseStays) {
  std::ofstream(path_) << "root:x:0:0:root:/root:/bin/bash\n";
  EXPECT_TRUE(is_refused("holds something else"));
  EXPECT_TRUE(is_refused(path_, AppendedLines::kDated));
  EXPECT_EQ(content(), "root:x:0:0:root:/root:/bin/bash\n");
  std::ofstream(path_) << "{}\n";
  EXPECT_TRUE(is_refused("holds something else", AppendedLines::kDated));
  std::ofstream(path_) << "2026-11-3";
  EXPECT_TRUE(is_refused("holds something else", AppendedLines::kDated));
}

TEST_F(AppendFile, ALinkIsNotFollowed) {
  const std::string target = folder_ + "/target";
  std::filesystem::create_symlink(target, path_);
  EXPECT_TRUE(is_refused("symbolic link"));
  EXPECT_FALSE(std::filesystem::exists(target)) << "nor is its target made";
  std::ofstream(target) << "{}\n";
  EXPECT_TRUE(is_refused("symbolic link"));
  std::filesystem::remove(path_);
  std::filesystem::create_hard_link(target, path_);
  EXPECT_TRUE(is_refused("second name"));
}

TEST_F(AppendFile, OneOfAnotherUserIsNotWrittenTo) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root gives a file away";
  }
  std::ofstream(path_).flush();
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_TRUE(is_refused("belongs to user 65534"));
}

TEST_F(AppendFile, AFifoNeedsAReader) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_TRUE(is_refused("--events: " + path_ + " is a FIFO that nobody reads"));
  const UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_TRUE(open_to_append(path_, AppendedLines::kJson, "--events"));
}

TEST_F(AppendFile, DevicesAndWhatIsOpenAlready) {
  EXPECT_TRUE(open_to_append("/dev/null", AppendedLines::kJson, "--events"));
  const UniqueFd open(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::write(open.get(), "other", 5), 5);
  EXPECT_TRUE(open_to_append(fmt::format("/proc/self/fd/{}", open.get()), AppendedLines::kDated,
                             "--log-file"));
}

TEST_F(AppendFile, FoldersAreNotMade) {
  path_ = folder_ + "/none/lines";
  EXPECT_TRUE(is_refused("No such file or directory"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/none"));
  path_ = folder_;
  EXPECT_FALSE(open_to_append(path_, AppendedLines::kJson, "--events"));
}

}  // namespace
}  // namespace gpuvm::append_file_test
