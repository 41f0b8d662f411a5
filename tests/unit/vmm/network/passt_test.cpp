// SPDX-License-Identifier: Apache-2.0
// How gpuvm starts passt, with scripts in its place.
#include "vmm/network/passt.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gpuvm::passt_test {
namespace {

using ::testing::HasSubstr;

class PasstTest : public ::testing::Test {
 protected:
  PasstTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "gpuvm-passt-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~PasstTest() override { std::filesystem::remove_all(folder_); }
  /// A program that does this.
  std::string script(const std::string& text) const {
    const std::string path = folder_ + "/passt";
    std::ofstream(path) << "#!/bin/sh\n" << text;
    ::chmod(path.c_str(), 0700);
    return path;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string folder_;
};

/// A port of the host that is in use as long as this lives.
struct UsedPort {
  explicit UsedPort(int type) : socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(socket.get(), 1), 0);
    }
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    number = ntohs(address.sin_port);
  }
  UniqueFd socket;
  std::uint16_t number = 0;
};

TEST_F(PasstTest, WithoutItThePackageIsNamed) {
  const auto status = Passt::check({.program = folder_ + "/none"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(status.error().to_string(), HasSubstr("which is not installed: apt install passt"));
  EXPECT_FALSE(Passt::start({.program = "gpuvm-has-no-such-program"}));
}

// A folder that is relative is anybody's, and PATH may come from a user who may not be root.
TEST_F(PasstTest, WhereItIsLookedFor) {
  const std::string name = "gpuvm-test-passt";
  std::filesystem::rename(script("exit 0"), folder_ + "/" + name);
  const char* const path = ::getenv("PATH");
  const std::string path_before = path == nullptr ? "/usr/bin:/bin" : path;
  const auto folder_before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  ::setenv("PATH", ".:", 1);
  const bool is_found_here = Passt::check({.program = name}).has_value();
  ::setenv("PATH", folder_.c_str(), 1);
  const bool is_found_in_path = Passt::check({.program = name}).has_value();
  ::setenv("PATH", path_before.c_str(), 1);
  std::filesystem::current_path(folder_before);
  EXPECT_FALSE(is_found_here);
  EXPECT_EQ(is_found_in_path, ::geteuid() != 0);
}

TEST_F(PasstTest, APortInUseIsKnownBefore) {
  const auto program = script("exit 0");
  for (const bool udp : {false, true}) {
    const UsedPort port(udp ? SOCK_DGRAM : SOCK_STREAM);
    for (const char* address : {"", "127.0.0.1"}) {
      const auto status = Passt::check(
          {.forward = {{.udp = udp, .address = address, .host = port.number, .guest = 1}},
           .program = program});
      ASSERT_FALSE(status);
      EXPECT_THAT(status.error().to_string(),
                  HasSubstr(fmt::format("forward: {} port {}{}{} of this host is in use",
                                        udp ? "UDP" : "TCP", address, *address == 0 ? "" : "/",
                                        port.number)));
    }
    EXPECT_TRUE(
        Passt::check({.forward = {{.udp = !udp, .address = "", .host = port.number, .guest = 1}},
                      .program = program}));
  }
}

// Ready when its first process has ended; its socket is there, and tells of its end. The frames'
// socket is descriptor 3, and nothing else is open.
TEST_F(PasstTest, ItRunsInTheBackground) {
  const UniqueFd handed_over(::dup2(STDERR_FILENO, 50));  // by a launcher: not close-on-exec
  const auto program =
      script("echo \"$@\" >" + folder_ + "/arguments\nls /proc/$$/fd >" + folder_ +
             "/descriptors\n(cat <&3 >&3; echo end >" + folder_ + "/end) 2>/dev/null &\nexit 0\n");
  auto passt = Passt::start({.forward = {{.udp = false, .address = "", .host = 0, .guest = 22},
                                         {.udp = true, .address = "::1", .host = 0, .guest = 9}},
                             .mtu = 1400,
                             .program = program,
                             .profile = nullptr});
  ASSERT_TRUE(passt) << passt.error().to_string();
  EXPECT_EQ(read("arguments"),
            "--quiet --fd 3 --no-map-gw --mtu 1400 --tcp-ports 0:22 --udp-ports ::1/0:9\n");
  EXPECT_THAT(read("descriptors"), HasSubstr("3\n"));
  EXPECT_THAT(read("descriptors"), ::testing::Not(HasSubstr("50\n")));
  {
    const auto socket = (*passt)->socket();
    ASSERT_TRUE(socket);
    ASSERT_EQ(::send(socket->get(), "frame", 5, MSG_NOSIGNAL), 5);
    std::array<char, 5> back{};
    ASSERT_EQ(::recv(socket->get(), back.data(), back.size(), MSG_WAITALL), 5);
    EXPECT_EQ(std::string_view(back.data(), back.size()), "frame");
  }
  passt->reset();  // returns when the program has closed its end
}

TEST_F(PasstTest, WhatItSaysWhenItDoesNotStart) {
  const auto passt = Passt::start(
      {.program = script("echo 'Failed to send 31 bytes to syslog' >&2\necho No interface >&2\n"
                         "printf 'with a \\033 route\\n' >&2\nexit 1\n"),
       .profile = nullptr});
  ASSERT_FALSE(passt);
  EXPECT_EQ(passt.error().kind(), ErrorKind::kHost);
  EXPECT_EQ(passt.error().to_string(),
            "passt does not start (exit status 1): No interface; with a ? route");
}

// Signals that are ignored stay so in a new program, and then nobody keeps its children's status.
TEST_F(PasstTest, OneWhoseEndNobodyKeepsIsNoSuccess) {
  const auto program = script("exit 1");
  auto* const before = ::signal(SIGCHLD, SIG_IGN);
  const auto passt = Passt::start({.program = program, .profile = nullptr});
  ::signal(SIGCHLD, before);
  ASSERT_FALSE(passt);
  EXPECT_THAT(passt.error().to_string(), HasSubstr("ignores SIGCHLD"));
}

// Confined, it is no root, may not look into others, and has the right to a low port where it is to
// have one.
TEST_F(PasstTest, ItIsConfinedFromItsStart) {
  const auto program = script(
      "grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/self/status >&2\n"
      "exit 1\n");
  std::filesystem::permissions(folder_, std::filesystem::perms{0755});
  std::filesystem::permissions(program, std::filesystem::perms{0755});
  for (const std::uint16_t port : {std::uint16_t{1023}, std::uint16_t{0xffff}}) {
    const auto passt = Passt::start(
        {.forward = {{.udp = false, .address = "127.0.0.1", .host = port, .guest = 22}},
         .program = program});
    ASSERT_FALSE(passt);
    const auto text = passt.error().to_string();
    if (text.find("forward: ") != std::string::npos) {
      GTEST_SKIP() << text;  // not root, or somebody has the port
    }
    EXPECT_THAT(text, HasSubstr("NoNewPrivs:?1; Seccomp:?2"));
    if (::geteuid() == 0) {
      EXPECT_THAT(text, ::testing::Not(HasSubstr("Uid:?0")));
      EXPECT_THAT(text,
                  HasSubstr(port < 1024 ? "CapEff:?0000000000000400" : "CapEff:?0000000000000000"));
    }
  }
}

TEST_F(PasstTest, OneThatIsKilledAtItsStart) {
  const auto passt = Passt::start({.program = script("kill -9 $$"), .profile = nullptr});
  ASSERT_FALSE(passt);
  EXPECT_THAT(passt.error().to_string(), HasSubstr("passt does not start (signal 9)"));
}

}  // namespace
}  // namespace gpuvm::passt_test
