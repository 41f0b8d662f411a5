// SPDX-License-Identifier: Apache-2.0
// What an image may have below it, and what not.
#include "vmm/storage/image_chain.hpp"

#include <gmock/gmock.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/vmm/storage/qcow2_bytes.hpp"

namespace gpuvm::image_chain_test {
namespace {

using test::Qcow2Bytes;
using ::testing::HasSubstr;

class ImageChainTest : public ::testing::Test {
 protected:
  ImageChainTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "gpuvm-image-XXXXXX";
    root_ = std::filesystem::canonical(::mkdtemp(pattern.data()));
    std::filesystem::create_directory(root_ + "/images");
    raw("images/base.img");
  }
  ~ImageChainTest() override { std::filesystem::remove_all(root_); }
  std::string path(const std::string& name) const { return root_ + "/" + name; }
  void raw(const std::string& name) const { std::ofstream(path(name)) << std::string(1000, 'x'); }
  void qcow2(const std::string& name, const Qcow2Bytes& image) const {
    const auto bytes = image.bytes();
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  Result<std::vector<ImageLayer>> open(const std::string& name,
                                       ImageFormat format = ImageFormat::kQcow2) const {
    return open_image_chain({.path = path(name), .format = format, .writable = true});
  }
  std::string error_of(const std::string& name) const {
    const auto chain = open(name);
    return chain ? "no error" : chain.error().to_string();
  }
  std::string root_;
};

TEST_F(ImageChainTest, LayersOfOneFolder) {
  qcow2("images/middle", {.backing = "base.img", .backing_format = "raw"});
  qcow2("images/top", {.backing = path("images/middle"), .backing_format = "qcow2"});
  std::filesystem::create_symlink(path("images/top"), path("link"));
  for (const char* const name : {"images/top", "link"}) {
    const auto chain = open(name);
    ASSERT_TRUE(chain) << chain.error().to_string();
    ASSERT_EQ(chain->size(), 3U);
    EXPECT_EQ((*chain)[0].path, path("images/top"));
    EXPECT_EQ((*chain)[0].size, 1U << 20);
    EXPECT_EQ((*chain)[2].path, path("images/base.img"));
    EXPECT_EQ((*chain)[2].size, 1024U);
    EXPECT_EQ((*chain)[2].format, ImageFormat::kRaw);
  }
}

TEST_F(ImageChainTest, ARawImageHasNoHeader) {
  const auto chain = open("images/base.img", ImageFormat::kRaw);
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->size(), 1U);
  EXPECT_FALSE(chain->front().is_block_device);
}

// As which the user has it: nobody meant the guest to have the container's bytes. What an image
// says of those below it holds, whatever a guest has written there.
TEST_F(ImageChainTest, ARawImageThatIsNoneIsRefused) {
  qcow2("images/cow", {});
  const auto chain = open("images/cow", ImageFormat::kRaw);
  ASSERT_FALSE(chain);
  EXPECT_THAT(chain.error().to_string(), HasSubstr("set format = \"qcow2\""));
  qcow2("images/top", {.backing = "cow", .backing_format = "raw"});
  EXPECT_EQ(error_of("images/top"), "no error");
}

TEST_F(ImageChainTest, ABackingFileThatIsGone) {
  qcow2("images/top", {.backing = "gone.img", .backing_format = "raw"});
  EXPECT_EQ(error_of("images/top"), "The backing file of " + path("images/top") + ": Cannot open " +
                                        path("images/gone.img") + ": No such file or directory");
}

TEST_F(ImageChainTest, NoneOutsideTheImagesFolder) {
  raw("secret");
  for (const auto& name : {std::string("../secret"), path("secret"), std::string("/etc/hostname"),
                           std::string("../images2/base")}) {
    qcow2("images/top", {.backing = name, .backing_format = "raw"});
    const auto error = error_of("images/top");
    EXPECT_TRUE(error.find("outside the image's folder") != std::string::npos ||
                error.find("No such file") != std::string::npos)
        << error;
  }
  // Nor by a link that lies in it.
  std::filesystem::create_symlink(path("secret"), path("images/link"));
  qcow2("images/top", {.backing = "link", .backing_format = "raw"});
  EXPECT_THAT(error_of("images/top"), HasSubstr(path("secret") + ", outside the image's folder"));
}

TEST_F(ImageChainTest, NoProtocols) {
  for (const char* const name :
       {"nbd://host/disk", "json:{\"driver\":\"file\"}", "file:/etc/shadow"}) {
    qcow2("images/top", {.backing = name, .backing_format = "raw"});
    EXPECT_THAT(error_of("images/top"), HasSubstr("which is no file of this host")) << name;
  }
}

TEST_F(ImageChainTest, OneThatLiesBelowItselfEnds) {
  qcow2("images/top", {.backing = "top", .backing_format = "qcow2"});
  EXPECT_THAT(error_of("images/top"), HasSubstr("more than 11 images below it, or itself"));
}

TEST_F(ImageChainTest, WhatIsNoFile) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(error_of("fifo"), HasSubstr("is no file"));
  EXPECT_THAT(error_of("images"), HasSubstr("is no file"));
  EXPECT_THAT(error_of("none"),
              HasSubstr("There is no " + path("none") + ": correct the path, or"));
  EXPECT_THAT(error_of("none"), HasSubstr("scripts/make-image"));
  qcow2("images/top", {.backing = "../fifo", .backing_format = "raw"});
  EXPECT_THAT(error_of("images/top"), HasSubstr("is no file"));
}

/// Whether somebody opens a file (inotify(7)).
class OpenWatch {
 public:
  explicit OpenWatch(const std::string& path) {
    EXPECT_GE(::inotify_add_watch(events_.get(), path.c_str(), IN_OPEN), 0);
  }
  bool was_opened() const {
    std::array<char, 4096> bytes{};
    return ::read(events_.get(), bytes.data(), bytes.size()) > 0;
  }

 private:
  UniqueFd events_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
};

// To open may be to do: a FIFO lets its writer go on, a tape rewinds, a watchdog begins to count.
TEST_F(ImageChainTest, WhatMayNotBeHadIsNotOpened) {
  raw("secret");
  ASSERT_EQ(::mkfifo(path("images/fifo").c_str(), 0600), 0);
  const OpenWatch secret(path("secret"));
  const OpenWatch fifo(path("images/fifo"));
  for (const char* const name : {"../secret", "fifo"}) {
    qcow2("images/top", {.backing = name, .backing_format = "raw"});
    EXPECT_FALSE(open("images/top")) << name;
  }
  EXPECT_FALSE(open("images/fifo", ImageFormat::kRaw));
  EXPECT_FALSE(secret.was_opened());
  EXPECT_FALSE(fifo.was_opened());
  const OpenWatch base(path("images/base.img"));
  qcow2("images/top", {.backing = "base.img", .backing_format = "raw"});
  EXPECT_TRUE(open("images/top"));
  EXPECT_TRUE(base.was_opened()) << "such would be seen";
}

// What procfs has looks like files; /proc/kcore is the host's memory.
TEST_F(ImageChainTest, FilesOfTheKernelAreNone) {
  for (const char* const name : {"/proc/self/maps", "/sys/kernel/mm/hugepages", "/dev/null"}) {
    const auto chain = open_image_chain({.path = name, .format = ImageFormat::kRaw});
    ASSERT_FALSE(chain) << name;
    EXPECT_THAT(chain.error().to_string(), HasSubstr("is no file")) << name;
  }
}

// A qcow2 image that lies on a logical volume could name every other disk of the host.
TEST_F(ImageChainTest, NoBlockDeviceBelowAnImage) {
  std::string device;
  for (const auto& entry : std::filesystem::directory_iterator("/dev")) {
    device = entry.is_block_file() ? entry.path().string() : device;
  }
  if (device.empty()) {
    GTEST_SKIP() << "no block device here";
  }
  qcow2("images/top", {.backing = device, .backing_format = "raw"});
  EXPECT_THAT(error_of("images/top"), HasSubstr("a block device: only files can be"));
}

// In / and in /dev "below the image's folder" says nothing.
TEST_F(ImageChainTest, NoBackingFileForAnImageInAFolderOfAll) {
  const std::string image = "/dev/gpuvm-image-chain-test";
  qcow2("images/top", {.backing = path("images/base.img"), .backing_format = "raw"});
  std::error_code error;
  std::filesystem::copy_file(path("images/top"), image, error);
  if (error) {
    GTEST_SKIP() << "cannot write to /dev";
  }
  const auto chain = open_image_chain({.path = image, .format = ImageFormat::kQcow2});
  std::filesystem::remove(image);
  ASSERT_FALSE(chain);
  EXPECT_THAT(chain.error().to_string(), HasSubstr("could name any file of this host"));
}

}  // namespace
}  // namespace gpuvm::image_chain_test
