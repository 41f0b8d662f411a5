// SPDX-License-Identifier: Apache-2.0
// What a run's worker still reaches when it has its role.
#include "vmm/containment/sandbox_guard.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/sandbox/landlock.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox_guard_test {
namespace {

class BootLinks : public testing::Test {
 protected:
  BootLinks() {
    std::string name = "/tmp/gpuvm-boot-links-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    for (const char* const part : {"guest", "images", "other"}) {
      std::filesystem::create_directory(folder_ + "/" + part);
      std::ofstream(folder_ + "/" + part + "/file") << part;
    }
    std::filesystem::create_symlink("../images/file", folder_ + "/guest/link");
  }
  ~BootLinks() override { std::filesystem::remove_all(folder_); }

  /// "1" for each path that the worker can open, "0" for others.
  std::string opened(const Config& config, const std::vector<std::string>& paths) {
    const auto end = sandbox::in_child([&](int fd) {
      if (!prepare_sandbox(config)) {
        return;
      }
      std::thread([&] {
        sandbox::enter(sandbox::ThreadRole::kWorker);
        std::string text;
        for (const std::string& path : paths) {
          text += ::open((folder_ + path).c_str(), O_RDONLY) >= 0 ? "1" : "0";
        }
        sandbox::say(fd, text);
      }).join();
    });
    return end.said;
  }

  std::string folder_;
};

/// The initrd is opened when the worker has its role, and both files again at each reboot.
TEST_F(BootLinks, ALinkToABootFileLeadsToItsFolderAndNotTheLinks) {
  if (sandbox::landlock_support().abi == 0) {
    GTEST_SKIP() << sandbox::landlock_support().why_not;
  }
  Config config;
  config.boot.kernel = folder_ + "/images/file";
  config.boot.initrd = folder_ + "/guest/link";
  EXPECT_EQ(opened(config, {"/images/file", "/guest/link", "/guest/file", "/other/file"}), "1100");
  config.boot.kernel = folder_ + "/guest/file";
  EXPECT_EQ(opened(config, {"/images/file", "/guest/link", "/guest/file", "/other/file"}), "1110");
}

// Whoever takes a thread over reads all of the memory.
TEST(PrepareSandbox, TokensOfACiJobAreForgotten) {
  ::setenv("CI_JOB_TOKEN", "secret", 1);
  for (const SandboxMode mode : {SandboxMode::kOn, SandboxMode::kOff}) {
    Config config;
    config.sandbox.mode = mode;
    const auto end = sandbox::in_child([&](int fd) {
      const bool is_done = prepare_sandbox(config).has_value();
      sandbox::say(fd, is_done && ::getenv("CI_JOB_TOKEN") == nullptr ? "gone" : "there");
    });
    EXPECT_EQ(end.said, mode == SandboxMode::kOn ? "gone" : "there");
  }
  ::unsetenv("CI_JOB_TOKEN");
}

}  // namespace
}  // namespace gpuvm::sandbox_guard_test
