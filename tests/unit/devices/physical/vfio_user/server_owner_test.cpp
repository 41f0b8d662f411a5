// SPDX-License-Identifier: Apache-2.0
// Who may serve a guest's function: what connect() thinks of the server's user.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "devices/physical/vfio_user/message_socket.hpp"

namespace gpuvm::test::server_owner_test {
namespace {

constexpr uid_t kStranger = 65534;

/// A server of another user, as far as its listen(2).
class Server {
 public:
  explicit Server(const std::string& path) {
    std::array<int, 2> ready{};
    EXPECT_EQ(::pipe(ready.data()), 0);
    child_ = ::fork();
    if (child_ == 0) {
      serve(path, ready[1]);
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  ~Server() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  [[noreturn]] static void serve(const std::string& path, int ready) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    if (::setgid(kStranger) != 0 || ::setuid(kStranger) != 0 ||
        ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd, 1) != 0 || ::write(ready, "r", 1) != 1) {
      ::_exit(1);
    }
    for (;;) {
      ::pause();
    }
  }
  pid_t child_ = -1;
};

TEST(VfioUserServerOwner, AStrangersServerGetsNoMemory) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can be another user";
  }
  std::string folder = testing::TempDir() + "gpuvm-owner-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  ASSERT_EQ(::chmod(folder.c_str(), 0777), 0);
  {
    const Server server(folder + "/gpu.sock");
    const auto refused = vfio_user::MessageSocket::connect(folder + "/gpu.sock");
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().to_string(), testing::HasSubstr("is user 65534's"));
    // Of one who has a folder for his servers it is what the configuration means.
    ASSERT_EQ(::chown(folder.c_str(), kStranger, kStranger), 0);
    EXPECT_TRUE(vfio_user::MessageSocket::connect(folder + "/gpu.sock"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gpuvm::test::server_owner_test
