// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/kept_files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace gpuvm::kept_files_test {
namespace {

using testing::HasSubstr;

class KeptFilesTest : public testing::Test {
 protected:
  KeptFilesTest() {
    std::string name = testing::TempDir() + "gpuvm-kept-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    write("vars", "old");
  }
  ~KeptFilesTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                                  std::filesystem::directory_iterator()));
  }
  static std::span<const std::byte> bytes(const std::string& text) {
    return std::as_bytes(std::span(text));
  }
  Result<std::uint32_t> declare(const std::string& name, FileUse use = FileUse::kReplace) {
    return files_.declare(folder_ + "/" + name, use);
  }

  std::string folder_;
  KeptFiles files_;
};

TEST_F(KeptFilesTest, AWholeNewFileIsInTheOldOnesPlace) {
  const auto file = declare("vars").value();
  const UniqueFd old(::open((folder_ + "/vars").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(files_.replace(file, bytes("new")));
  ASSERT_TRUE(files_.replace(file, bytes("newer")));
  EXPECT_EQ(read("vars"), "newer");
  EXPECT_EQ(count(), 1U) << "nothing else is left";
  char first = 0;
  EXPECT_EQ(::pread(old.get(), &first, 1, 0), 1);
  EXPECT_EQ(first, 'o') << "who has the old one has it whole";
  struct stat info {};
  ASSERT_EQ(::stat((folder_ + "/vars").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST_F(KeptFilesTest, TheNewFileIsLocked) {
  const auto file = declare("vars").value();
  ASSERT_TRUE(files_.replace(file, bytes("new")));
  const UniqueFd other(::open((folder_ + "/vars").c_str(), O_RDWR | O_CLOEXEC));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  EXPECT_NE(::fcntl(other.get(), F_OFD_SETLK, &whole), 0);
}

// Another user of the folder cannot make the owner write elsewhere.
TEST_F(KeptFilesTest, NoLinkIsFollowed) {
  write("target", "precious");
  std::filesystem::create_symlink(folder_ + "/target", folder_ + "/link");
  const auto link = declare("link");
  ASSERT_FALSE(link);
  EXPECT_THAT(link.error().message(), HasSubstr("is a symbolic link"));
  const auto file = declare("vars").value();
  std::filesystem::remove(folder_ + "/vars");
  std::filesystem::create_symlink(folder_ + "/target", folder_ + "/vars");
  ASSERT_TRUE(files_.replace(file, bytes("guest's")));
  EXPECT_EQ(read("target"), "precious");
  EXPECT_EQ(read("vars"), "guest's");
}

TEST_F(KeptFilesTest, TheFolderIsTheOneThatWasDeclared) {
  const auto file = declare("vars").value();
  const std::string moved = folder_ + "-moved";
  std::filesystem::rename(folder_, moved);
  std::filesystem::create_directory(folder_);
  ASSERT_TRUE(files_.replace(file, bytes("new")));
  EXPECT_EQ(count(), 0U);
  std::filesystem::remove_all(folder_);
  std::filesystem::rename(moved, folder_);
  EXPECT_EQ(read("vars"), "new");
}

TEST_F(KeptFilesTest, WhatIsReadIsWhatThePathNamesNow) {
  const auto file = declare("kernel", FileUse::kRead).value();
  EXPECT_FALSE(files_.open(file)) << "it is not there yet";
  write("kernel", "6.12");
  const auto opened = files_.open(file);
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_EQ(::fcntl(opened->get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  std::filesystem::remove(folder_ + "/kernel");
  ASSERT_EQ(::mkfifo((folder_ + "/kernel").c_str(), 0600), 0);
  EXPECT_FALSE(files_.open(file)) << "a FIFO, which would make it wait";
}

TEST_F(KeptFilesTest, EachForItsUse) {
  const auto vars = declare("vars").value();
  const auto kernel = declare("kernel", FileUse::kRead).value();
  EXPECT_FALSE(files_.open(vars));
  EXPECT_FALSE(files_.replace(kernel, bytes("x")));
  EXPECT_FALSE(files_.replace(kernel + 1, bytes("x")));
  EXPECT_FALSE(files_.declare("vars", FileUse::kReplace));
  EXPECT_FALSE(files_.declare(folder_ + "/", FileUse::kReplace));
  EXPECT_FALSE(files_.declare(folder_ + "/none/vars", FileUse::kReplace));
  EXPECT_FALSE(declare("none"));
  for (std::size_t i = 2; i < KeptFiles::kMost; ++i) {
    EXPECT_TRUE(declare("vars"));
  }
  EXPECT_FALSE(declare("vars"));
}

}  // namespace
}  // namespace gpuvm::kept_files_test
