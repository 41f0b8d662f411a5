// SPDX-License-Identifier: Apache-2.0
// ResultFile in a folder in which a guest has been root.
#include "vmm/channels/result_file.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace gpuvm::result_file_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ResultFiles : public ::testing::Test {
 protected:
  ResultFiles() {
    std::string pattern = ::testing::TempDir() + "/gpuvm-result-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directory(folder_ + "/share");
    fs::create_directory(folder_ + "/outside");
    write(folder_ + "/outside/secret", "7\n");
  }
  ~ResultFiles() override { fs::remove_all(folder_); }
  static void write(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::string in_share(const std::string& name) const { return folder_ + "/share/" + name; }
  std::unique_ptr<ResultFile> open(const std::string& path = "status") const {
    auto file = ResultFile::open(folder_ + "/share", path);
    EXPECT_TRUE(file) << file.error().to_string();
    return std::move(file).value();
  }
  static std::string line_of(const ResultFile& file) {
    const auto line = file.first_line();
    return !line ? line.error().to_string() : *line ? (*line)->text : "nothing";
  }
  std::string folder_;
};

TEST_F(ResultFiles, TheFirstLine) {
  const auto file = open();
  EXPECT_EQ(line_of(*file), "nothing");
  write(in_share("status"), "3\r\nand more\n");
  EXPECT_EQ(line_of(*file), "3");
  write(in_share("status"), "4");
  EXPECT_EQ(line_of(*file), "4");
  write(in_share("status"), "");
  EXPECT_EQ(line_of(*file), "");
}

// So that a word counts which was there before somebody asked the guest to end.
TEST_F(ResultFiles, TellsWhenItWasWritten) {
  const auto file = open();
  const auto tick = std::chrono::milliseconds(20);  // a file's time is that of the last tick
  const auto before = std::chrono::system_clock::now();
  write(in_share("status"), "3\n");
  const auto after = std::chrono::system_clock::now();
  std::this_thread::sleep_for(tick);
  const auto line = file->first_line();
  ASSERT_TRUE(line && *line);
  EXPECT_GE((*line)->written, before - tick);
  EXPECT_LE((*line)->written, after);
}

TEST_F(ResultFiles, InAFolderOfTheShare) {
  const auto file = open("a/b/status");
  EXPECT_EQ(line_of(*file), "nothing");
  fs::create_directories(in_share("a/b"));
  write(in_share("a/b/status"), "0\n");
  EXPECT_EQ(line_of(*file), "0");
  fs::remove_all(in_share("a"));
  write(in_share("a"), "a file where a folder was");
  EXPECT_EQ(line_of(*file), "nothing");
}

// The 0 of yesterday's job.
TEST_F(ResultFiles, WhatWasThereBeforeSaysNothing) {
  write(in_share("status"), "0\n");
  const auto file = open();
  EXPECT_THAT(line_of(*file), HasSubstr("status was there before the run"));
  ::usleep(20000);  // file systems count time in ticks
  write(in_share("status"), "0\n");
  EXPECT_EQ(line_of(*file), "0") << "the same, but written";
  const auto next = open();
  ::usleep(20000);
  fs::remove(in_share("status"));
  write(in_share("status"), "1\n");
  EXPECT_EQ(line_of(*next), "1") << "another file";
}

TEST_F(ResultFiles, TheTimeOfWritingCannotBeForged) {
  write(in_share("status"), "0\n");
  const auto before = fs::last_write_time(in_share("status"));
  const auto file = open();
  ::usleep(20000);
  write(in_share("status"), "5\n");
  fs::last_write_time(in_share("status"), before);
  EXPECT_EQ(line_of(*file), "5");
}

TEST_F(ResultFiles, NoLinkIsFollowed) {
  const auto file = open("a/status");
  fs::create_directory_symlink(folder_ + "/outside", in_share("a"));
  EXPECT_THAT(line_of(*file), HasSubstr("behind a symbolic link"));
  fs::remove(in_share("a"));
  fs::create_directory(in_share("a"));
  for (const auto& target : {folder_ + "/outside/secret", std::string("../../outside/secret"),
                             std::string("other"), std::string("/proc/self/fd/0")}) {
    write(in_share("a/other"), "7\n");
    fs::create_symlink(target, in_share("a/status"));
    EXPECT_THAT(line_of(*file), HasSubstr("behind a symbolic link")) << target;
    fs::remove(in_share("a/status"));
  }
  fs::create_directory_symlink("../../outside", in_share("a/status"));
  EXPECT_THAT(line_of(*file), HasSubstr("behind a symbolic link"));
}

// A FIFO would be waited for, a socket or a folder is nothing to read.
TEST_F(ResultFiles, OnlyARegularFile) {
  const auto file = open();
  ASSERT_EQ(::mkfifo(in_share("status").c_str(), 0600), 0);
  EXPECT_THAT(line_of(*file), HasSubstr("no regular file"));
  fs::remove(in_share("status"));
  fs::create_directory(in_share("status"));
  EXPECT_THAT(line_of(*file), HasSubstr("no regular file"));
}

TEST_F(ResultFiles, NoMoreThanAResultHas) {
  const auto file = open();
  write(in_share("status"), "3\n" + std::string(ResultFile::kMostBytes - 2, ' '));
  EXPECT_EQ(line_of(*file), "3");
  write(in_share("status"), std::string(ResultFile::kMostBytes + 1, '3'));
  EXPECT_THAT(line_of(*file), HasSubstr("has 4097 bytes, and a result at most 4096"));
  ASSERT_EQ(::truncate(in_share("status").c_str(), off_t{1} << 40), 0) << "a hole";
  EXPECT_THAT(line_of(*file), HasSubstr("at most 4096"));
}

TEST_F(ResultFiles, AFolderThatIsNotThere) {
  const auto file = ResultFile::open(folder_ + "/nowhere", "status");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(file.error().to_string(), HasSubstr("test.result_file: cannot open"));
}

// Where the configuration's check is not all that stands between the guest and the host.
TEST_F(ResultFiles, NoPathLeadsOut) {
  const auto file = open("../outside/secret");
  EXPECT_THAT(line_of(*file), HasSubstr("behind a symbolic link"));
}

}  // namespace
}  // namespace gpuvm::result_file_test
