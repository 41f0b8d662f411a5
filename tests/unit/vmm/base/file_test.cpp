// SPDX-License-Identifier: Apache-2.0
// Files, attributes, descriptors and eventfds, in a folder of their own.
#include "vmm/base/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::file_test {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "gpuvm-file-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  std::filesystem::path folder_;
};

TEST_F(FileTest, ReadsWholeFilesUpToALimit) {
  const auto path = write("a", std::string("x\0y", 3));
  const auto bytes = read_file(path, 3, ErrorKind::kConfig);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(*bytes, (std::vector<std::byte>{std::byte{'x'}, std::byte{0}, std::byte{'y'}}));
  const auto too_large = read_file(path, 2, ErrorKind::kConfig);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().to_string(), path + " has 3 bytes; at most 2 are accepted");
  EXPECT_TRUE(read_file(write("empty", ""), 0, ErrorKind::kConfig)->empty());
}

TEST_F(FileTest, RefusesWhatIsNoRegularFileWithoutWaiting) {
  const auto fifo = (folder_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const auto& path : {fifo, folder_.string(), std::string("/dev/zero")}) {
    const auto result = read_file(path, 100, ErrorKind::kHost);
    ASSERT_FALSE(result) << path;
    EXPECT_EQ(result.error().to_string().rfind(path + " is not a regular file", 0), 0U);
    EXPECT_EQ(result.error().kind(), ErrorKind::kHost);
  }
  EXPECT_EQ(read_file(folder_.string(), 100, ErrorKind::kHost).error().to_string(),
            folder_.string() + " is not a regular file but a directory");
  const auto absent = read_file((folder_ / "absent").string(), 100, ErrorKind::kConfig);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind(), ErrorKind::kConfig);
}

TEST_F(FileTest, AttributesLoseTrailingWhiteSpace) {
  EXPECT_EQ(*read_attribute(write("a", "0x10de\n")), "0x10de");
  EXPECT_EQ(*read_attribute(write("b", "")), "");
  EXPECT_EQ(*read_attribute(write("c", "two\nlines \n\n")), "two\nlines");
  EXPECT_FALSE(read_attribute((folder_ / "absent").string()));
}

TEST_F(FileTest, AttributesAreBounded) {
  const auto text = read_attribute("/dev/zero");
  ASSERT_TRUE(text);
  EXPECT_LE(text->size(), 4_MiB);
}

TEST_F(FileTest, WritesOnlyToExistingAttributes) {
  const auto path = write("a", "");
  ASSERT_TRUE(write_attribute(path, "vfio-pci"));
  EXPECT_EQ(*read_attribute(path), "vfio-pci");
  EXPECT_FALSE(write_attribute((folder_ / "absent").string(), "x"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "absent"));
  const auto full = write_attribute("/dev/full", "x");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().to_string(), "Cannot write \"x\" to /dev/full: No space left on device");
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(first);
  const int number = first.get();
  UniqueFd second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(second.get(), number);
  EXPECT_TRUE(is_open(number));
  auto& alias = second;
  second = std::move(alias);
  EXPECT_TRUE(is_open(number));
  second.reset();
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, ReleaseGivesOwnershipUp) {
  UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(EventFd, SignalsAddUpAndDrainOnce) {
  auto event = EventFd::create();
  ASSERT_TRUE(event);
  EXPECT_FALSE(event->drain());  // does not block
  event->signal();
  event->signal();
  EXPECT_TRUE(event->drain());
  EXPECT_FALSE(event->drain());
  EXPECT_NE(::fcntl(event->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

}  // namespace
}  // namespace gpuvm::file_test
