// SPDX-License-Identifier: Apache-2.0
// What an image may have below it, and what not.
#include "vmm/storage/image_chain.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

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
  EXPECT_THAT(error_of("images"), HasSubstr("Cannot open"));
  EXPECT_THAT(error_of("none"), HasSubstr("No such file"));
  qcow2("images/top", {.backing = "../fifo", .backing_format = "raw"});
  EXPECT_THAT(error_of("images/top"), HasSubstr("is no file"));
}

}  // namespace
}  // namespace gpuvm::image_chain_test
