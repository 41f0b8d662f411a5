// SPDX-License-Identifier: Apache-2.0
// Copying out of a folder in which a guest has been root.
#include "vmm/job/share_copy.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::share_copy_test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ShareCopies : public testing::Test {
 protected:
  ShareCopies() {
    std::string path = testing::TempDir() + "share-XXXXXX";
    root_ = ::mkdtemp(path.data());
    fs::create_directory(root_ / "from");
    fs::create_directory(root_ / "to");
  }
  ~ShareCopies() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) const {
    const fs::path path = root_ / "from" / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  std::string copied(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(root_ / "to" / name).rdbuf();
    return text.str();
  }
  ShareCopy copy(const ShareLimits& limits = {}) const {
    const UniqueFd to(::open((root_ / "to").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto from = open_share(root_ / "from");
    EXPECT_TRUE(from);
    const auto done = copy_share(from->get(), to.get(), limits);
    EXPECT_TRUE(done) << done.error().to_string();
    return done ? done.value() : ShareCopy{};
  }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / "to")) {
      found.insert(fs::relative(entry.path(), root_ / "to").string());
    }
    return found;
  }
  fs::path root_;
};

TEST_F(ShareCopies, FilesInTheirFolders) {
  const std::string large(200'000, 'x');
  write("a.txt", "a");
  write("b/c/d.bin", std::string("\0\xff", 2));
  write("b/large", large);
  write("empty", "");
  const auto done = copy();
  EXPECT_EQ(copied("a.txt"), "a");
  EXPECT_EQ(copied("b/c/d.bin"), std::string("\0\xff", 2));
  EXPECT_EQ(copied("b/large"), large);
  EXPECT_EQ(done.files, 4U);
  EXPECT_EQ(done.bytes, large.size() + 3);
  EXPECT_EQ(done.left_out, 0U);
  EXPECT_EQ(done.to_string(), "4 files, 200003 bytes");
}

TEST_F(ShareCopies, WhatLeadsElsewhereOrIsNoFileIsLeftOut) {
  std::ofstream(root_ / "secret") << "secret";
  fs::create_directory(root_ / "outside");
  std::ofstream(root_ / "outside/x") << "secret";
  fs::create_symlink(root_ / "secret", root_ / "from/link");
  fs::create_directory_symlink(root_ / "outside", root_ / "from/folder");
  ASSERT_EQ(::mkfifo((root_ / "from/fifo").c_str(), 0600), 0);
  write("a\nb", "x");
  write("good", "good");
  const auto done = copy();
  EXPECT_EQ(names(), std::set<std::string>{"good"});
  EXPECT_EQ(done.left_out, 4U);
  EXPECT_THAT(done.to_string(), HasSubstr("link is a symbolic link"));
  EXPECT_THAT(done.to_string(), HasSubstr("folder is a symbolic link"));
  EXPECT_THAT(done.to_string(), HasSubstr("fifo is no regular file"));
  EXPECT_THAT(done.to_string(), HasSubstr("a b has control characters in its name"));
}

TEST_F(ShareCopies, EverythingHasALimit) {
  write("1", "x");
  write("2", "x");
  write("3", "x");
  EXPECT_EQ(copy({.files = 2}).left_out, 1U);
  EXPECT_THAT(names(), SizeIs(2));
}

TEST_F(ShareCopies, BytesHaveALimit) {
  write("large", "123456");
  write("small", "12");
  const auto done = copy({.bytes_of_file = 5});
  EXPECT_EQ(names(), std::set<std::string>{"small"});
  EXPECT_THAT(done.to_string(), HasSubstr("large has 6 bytes, of 5 at most"));
  fs::remove_all(root_ / "to");
  fs::create_directory(root_ / "to");
  EXPECT_EQ(copy({.bytes = 5}).files, 1U);
  EXPECT_EQ(names(), std::set<std::string>{"small"});
}

TEST_F(ShareCopies, DepthAndNamesHaveALimit) {
  write("a/b/c/d", "x");
  const auto shallow = copy({.depth = 2});
  EXPECT_EQ(names(), (std::set<std::string>{"a", "a/b"}));
  EXPECT_THAT(shallow.reasons, ElementsAre("a/b/c is deeper than 2 folders"));
  fs::remove_all(root_ / "to");
  fs::create_directory(root_ / "to");
  for (int i = 0; i < 20; ++i) {
    write("many/" + std::to_string(i), "x");
  }
  const auto few = copy({.names = 10});
  EXPECT_LE(few.files, 10U);
  EXPECT_EQ(few.left_out, 1U);
  EXPECT_THAT(few.to_string(), HasSubstr("10 names were looked at"));
}

// A sparse file is as long as it says.
TEST_F(ShareCopies, AHoleIsNoWayRoundTheLimit) {
  write("hole", "");
  fs::resize_file(root_ / "from/hole", 1ULL << 40);
  EXPECT_EQ(copy().left_out, 1U);
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(ShareCopies, TheArtifactsThemselvesAreNotCopied) {
  write("a", "a");
  fs::create_directory(root_ / "from/out");
  const UniqueFd to(::open((root_ / "from/out").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto from = open_share(root_ / "from");
  ASSERT_TRUE(from);
  const auto done = copy_share(from->get(), to.get());
  ASSERT_TRUE(done);
  EXPECT_EQ(done->files, 1U);
  EXPECT_THAT(done->reasons, ElementsAre("out is where the artifacts go"));
}

TEST_F(ShareCopies, AShareThatIsNotThereIsAnError) {
  fs::remove_all(root_ / "from");
  const auto from = open_share(root_ / "from");
  ASSERT_FALSE(from);
  EXPECT_EQ(from.error().kind(), ErrorKind::kHost);
}

// A guest that shares the folder above has put a link in its place.
TEST_F(ShareCopies, ALinkInThePlaceOfAnOpenShareIsNotFollowed) {
  write("a", "a");
  fs::create_directory(root_ / "secret");
  std::ofstream(root_ / "secret/key") << "key";
  const auto from = open_share(root_ / "from");
  ASSERT_TRUE(from);
  fs::rename(root_ / "from", root_ / "away");
  fs::create_directory_symlink(root_ / "secret", root_ / "from");
  const UniqueFd to(::open((root_ / "to").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(copy_share(from->get(), to.get()));
  EXPECT_THAT(names(), ElementsAre("a"));
}

// A key that a test made for itself is not for all users of the host.
TEST_F(ShareCopies, NobodyMayReadWhatTheOriginalKeepsHimFrom) {
  const mode_t mask = ::umask(0);
  const auto mode_of = [this](const std::string& name) {
    struct stat info {};
    EXPECT_EQ(::stat((root_ / "to" / name).c_str(), &info), 0) << name;
    return info.st_mode & 07777U;
  };
  const std::pair<std::string, std::pair<mode_t, mode_t>> files[] = {
      {"secret", {0600, 0600}},  {"group", {0640, 0640}},      {"script", {0777, 0644}},
      {"setuid", {04755, 0644}}, {"unreadable", {0200, 0600}}, {"folder/x", {0644, 0644}}};
  for (const auto& [name, modes] : files) {
    write(name, "x");
    ASSERT_EQ(::chmod((root_ / "from" / name).c_str(), modes.first), 0);
  }
  ASSERT_EQ(::chmod((root_ / "from" / "folder").c_str(), 02770), 0);
  write("open/x", "x");
  ASSERT_EQ(::chmod((root_ / "from" / "open").c_str(), 01777), 0);
  copy();
  for (const auto& [name, modes] : files) {
    if (name != "unreadable" || ::geteuid() == 0) {
      EXPECT_EQ(mode_of(name), modes.second) << name;
    }
  }
  EXPECT_EQ(mode_of("folder"), 0750U);
  EXPECT_EQ(mode_of("open"), 0755U);
  ::umask(mask);
}

}  // namespace
}  // namespace gpuvm::share_copy_test
