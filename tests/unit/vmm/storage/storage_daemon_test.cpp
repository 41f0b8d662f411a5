// SPDX-License-Identifier: Apache-2.0
// How gpuvm starts qemu-storage-daemon, with scripts in its place.
#include "vmm/storage/storage_daemon.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <filesystem>
#include <future>

#include "tests/unit/vmm/helper/script_folder.hpp"

namespace gpuvm::storage_daemon_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class StorageDaemonTest : public ::testing::Test {
 protected:
  StorageDaemonTest() {
    std::ofstream(image_) << "old";
    std::filesystem::resize_file(image_, 1 << 20);
  }
  StorageDaemon::Options options(const std::string& script) {
    return {.path = image_,
            .format = ImageFormat::kRaw,
            .throwaway = true,
            .program = folder_.script(script),
            .limit =
                [this](int /*file*/, std::uint64_t most) {
                  return Result<OverlayLimit>({.bytes = most, .is_full = is_host_full_});
                },
            .profile = nullptr};
  }
  test::ScriptFolder folder_;
  std::string image_ = folder_.path() + "/image";
  bool is_host_full_ = false;
};

TEST_F(StorageDaemonTest, WhatItIsTold) {
  std::vector<ImageLayer> layers(2);
  layers[0].format = ImageFormat::kQcow2;
  layers[1].is_block_device = true;
  EXPECT_THAT(
      storage_daemon_arguments({.direct = true, .queues = 3}, layers),
      ElementsAre("qemu-storage-daemon", "--blockdev",
                  R"({"node-name":"disk","driver":"qcow2","read-only":false,"discard":"unmap",)"
                  R"("cache":{"direct":true,"no-flush":false},)"
                  R"("file":{"driver":"file","filename":"/proc/self/fd/4","read-only":false,)"
                  R"("discard":"unmap","cache":{"direct":true,"no-flush":false}},)"
                  R"("backing":{"driver":"raw","read-only":true,"discard":"ignore",)"
                  R"("cache":{"direct":true,"no-flush":false},)"
                  R"("file":{"driver":"host_device","filename":"/proc/self/fd/5","read-only":true,)"
                  R"("discard":"ignore","cache":{"direct":true,"no-flush":false}}}})",
                  "--export",
                  R"({"type":"vhost-user-blk","id":"guest","node-name":"disk","writable":true,)"
                  R"("num-queues":3,"addr":{"type":"fd","str":"3"}})"));
}

// An image's own word on what lies below it counts for nothing: null.
TEST_F(StorageDaemonTest, WhatLiesBelowIsAlwaysSaid) {
  std::vector<ImageLayer> layers(1);
  for (const auto format : {ImageFormat::kQcow2, ImageFormat::kVmdk}) {
    layers[0].format = format;
    const auto arguments = storage_daemon_arguments({.read_only = true}, layers);
    EXPECT_THAT(arguments[2], HasSubstr(R"("backing":null)"));
    EXPECT_THAT(arguments[2], HasSubstr(R"("read-only":true)"));
    EXPECT_THAT(arguments[4], HasSubstr(R"("writable":false)"));
  }
}

TEST_F(StorageDaemonTest, Limits) {
  std::vector<ImageLayer> layers(1);
  const auto arguments = storage_daemon_arguments({.iops = 5, .bandwidth = 7}, layers);
  EXPECT_EQ(arguments[1], "--object");
  EXPECT_THAT(arguments[2], HasSubstr(R"("limits":{"iops-total":5,"bps-total":7})"));
  EXPECT_THAT(arguments[4], HasSubstr(R"({"node-name":"disk","driver":"throttle",)"));
}

TEST_F(StorageDaemonTest, WithoutItThePackageIsNamed) {
  const auto status = StorageDaemon::check({.path = image_, .program = folder_.path() + "/none"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(status.error().to_string(), HasSubstr("apt install qemu-system-common"));
}

TEST_F(StorageDaemonTest, ItsConnectionWaitsForIt) {
  const auto daemon = StorageDaemon::start(
      options("ls -l /proc/$$/fd >" + folder_.path() + "/files; exec sleep 1000 3<&-"));
  ASSERT_TRUE(daemon) << daemon.error().to_string();
  const auto socket = (*daemon)->take_socket();
  ASSERT_TRUE(socket);
  // It has closed its listening socket, and we have ours: nobody can accept any more.
  char byte = 0;
  EXPECT_LE(::recv(socket.get(), &byte, 1, 0), 0);
  const auto files = folder_.read("files");
  EXPECT_THAT(files, HasSubstr("3 -> socket:"));
  EXPECT_THAT(files, HasSubstr("(deleted)"));  // 4, the overlay
  EXPECT_THAT(files, HasSubstr("5 -> " + image_));
  EXPECT_THAT(files, Not(HasSubstr(" 6 -> ")));
}

// With its confinement: images as far as they are its, also one that is root's alone.
TEST_F(StorageDaemonTest, ItReachesItsImagesAlone) {
  std::ofstream(image_) << "old\n";
  std::filesystem::resize_file(image_, 1 << 20);
  ::chmod(image_.c_str(), 0600);
  auto wanted = options(
      "read -r word </proc/self/fd/5; echo \"image: $word\" >&2\n"
      "{ echo new >>/proc/self/fd/4; } 2>/dev/null && echo 'overlay: written' >&2\n"
      "{ echo new >>/proc/self/fd/5; } 2>/dev/null || echo 'image: not written' >&2\n"
      "{ read -r word <" +
      folder_.path() + "/other; } 2>/dev/null || echo 'other: not read' >&2\n");
  std::ofstream(folder_.path() + "/other") << "other\n";
  ::chmod(folder_.path().c_str(), 0755);
  ::chmod(wanted.program.c_str(), 0755);
  std::filesystem::create_directory(folder_.path() + "/bin");
  std::filesystem::rename(wanted.program, folder_.path() + "/bin/program");
  wanted.program = folder_.path() + "/bin/program";
  wanted.profile = &storage_daemon_profile();
  const auto daemon = StorageDaemon::start(wanted);
  ASSERT_TRUE(daemon) << daemon.error().to_string();
  const auto said = (*daemon)->explain(fail(ErrorKind::kHost, "It goes on")).to_string();
  EXPECT_THAT(said, HasSubstr("image: old; overlay: written; image: not written"));
  if (::geteuid() == 0 || sandbox::landlock_support().abi > 0) {
    EXPECT_THAT(said, HasSubstr("other: not read"));
  }
  EXPECT_THAT((*daemon)->layers().text(), HasSubstr("seccomp (an allow list)"));
}

TEST_F(StorageDaemonTest, WhatItSaysWhenItDoesNotStart) {
  std::promise<std::string> ended;
  auto wanted = options("echo 'qemu-storage-daemon: Failed to get lock' >&2; exit 1");
  wanted.on_end = [&](const Error& error) { ended.set_value(error.to_string()); };
  const auto daemon = StorageDaemon::start(wanted);
  ASSERT_TRUE(daemon);
  const auto error = (*daemon)->explain(fail(ErrorKind::kHost, "It closed the connection"));
  EXPECT_EQ(error.to_string(),
            "qemu-storage-daemon has ended (exit status 1): qemu-storage-daemon: Failed to get "
            "lock");
  EXPECT_EQ(ended.get_future().get(), error.to_string());
}

TEST_F(StorageDaemonTest, ADiskWithoutASizeIsToldSo) {
  std::filesystem::resize_file(image_, 0);
  EXPECT_THAT(StorageDaemon::check(options("exit 0")).error().to_string(),
              HasSubstr("image is a disk of 0 bytes"));
}

TEST_F(StorageDaemonTest, WithoutRoomForAThrowawayDiskItIsNotStarted) {
  is_host_full_ = true;
  const auto checked = StorageDaemon::check(options("exit 0"));
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().to_string(), HasSubstr("up to 8 GiB): free some"));
  EXPECT_FALSE(StorageDaemon::start(options("exit 0")));
}

TEST_F(StorageDaemonTest, WhatIsWrongWithTheImageIsKnownBefore) {
  auto wanted = options("exit 0");
  wanted.format = ImageFormat::kQcow2;
  EXPECT_THAT(StorageDaemon::check(wanted).error().to_string(), HasSubstr("is no qcow2 image"));
  EXPECT_TRUE(StorageDaemon::check(options("exit 0")));
}

}  // namespace
}  // namespace gpuvm::storage_daemon_test
