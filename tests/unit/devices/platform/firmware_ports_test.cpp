// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/firmware_ports.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/devices/platform/fakes.hpp"

namespace gpuvm::firmware_ports_test {
namespace {

TEST(DebugConsolePort, WritesLinesToItsFile) {
  std::string path = (std::filesystem::temp_directory_path() / "gpuvm-log-XXXXXX").string();
  ::close(::mkstemp(path.data()));
  const auto port = DebugConsolePort::create(path);
  ASSERT_TRUE(port);
  EXPECT_EQ(read8(**port, 0), 0xe9);
  for (const char c : std::string("SecCoreStartup\nno end")) {
    EXPECT_EQ(write8(**port, 0, static_cast<std::uint8_t>(c)), IoStatus::kOk);
  }
  std::ifstream file(path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(text, "SecCoreStartup\n");
  std::filesystem::remove(path);
  EXPECT_EQ(DebugConsolePort::create("/nowhere/log").error().kind(), ErrorKind::kConfig);
}

// The port is there as long as the guest runs, and the host's disk is not the guest's.
TEST(DebugConsolePort, ItsFileHasALimit) {
  std::string path = (std::filesystem::temp_directory_path() / "gpuvm-log-XXXXXX").string();
  ::close(::mkstemp(path.data()));
  {
    const auto port = DebugConsolePort::create(path, 100);
    ASSERT_TRUE(port);
    for (unsigned i = 0; i < 10'000; ++i) {
      write8(**port, 0, i % 40 == 39 ? '\n' : 'x');
    }
  }
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::string line = std::string(39, 'x') + "\n";
  EXPECT_EQ(text, line + line + "\n[gpuvm: no more is kept of it in this run]\n");
  std::filesystem::remove(path);
}

TEST(DebugConsolePort, FollowsNoLink) {
  std::string folder = (std::filesystem::temp_directory_path() / "gpuvm-log-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/victim") << "precious";
  std::filesystem::create_symlink(folder + "/victim", folder + "/log");
  const auto port = DebugConsolePort::create(folder + "/log");
  EXPECT_FALSE(port);
  EXPECT_EQ(std::filesystem::file_size(folder + "/victim"), 8U);
  std::filesystem::remove_all(folder);
}

TEST(FastA20Port, IsOpenAndResets) {
  int resets = 0;
  FastA20Port port({.power_off = {}, .reset = [&resets] { ++resets; }});
  EXPECT_EQ(read8(port, 0), 0x02);
  write8(port, 0, 0x02);
  EXPECT_EQ(resets, 0);
  write8(port, 0, 0x03);
  EXPECT_EQ(resets, 1);
}

TEST(KeyboardResetPort, OnlyThePulseResets) {
  int resets = 0;
  KeyboardResetPort port({.power_off = {}, .reset = [&resets] { ++resets; }});
  EXPECT_EQ(read8(port, 0), 0xff);
  for (unsigned command = 0; command < 256; ++command) {
    write8(port, 0, command);
  }
  EXPECT_EQ(resets, 1);
}

}  // namespace
}  // namespace gpuvm::firmware_ports_test
