// SPDX-License-Identifier: Apache-2.0
// Writes that succeed, are refused, and never come back: a FIFO without a reader cannot be opened.
#include "vmm/host/patient_write.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::patient_write_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

// Never reached where the write comes back: the tests' own limit is shorter.
constexpr auto kLong = 1h;

class PatientWriteTest : public testing::Test {
 protected:
  std::string fifo() {
    host_.directory("/sys");
    const std::string path = host_.path("/sys/unbind");
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  FakeHost host_;
};

TEST_F(PatientWriteTest, WritesToWhatIsThere) {
  host_.file("/sys/unbind", "before\n");
  const auto written = write_patiently(host_.path("/sys/unbind"), "0000:01:00.0", kLong);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_TRUE(*written);
  EXPECT_EQ(host_.read("/sys/unbind").value(), "0000:01:00.0");
}

TEST_F(PatientWriteTest, ErrnoOfTheWriteIsTold) {
  const auto absent = write_patiently(host_.path("/sys/absent"), "x", kLong);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(absent.error().message(),
              AllOf(HasSubstr("\"x\""), HasSubstr("/sys/absent"), HasSubstr("No such file")));
  const auto full = write_patiently("/dev/full", "x", kLong);
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message(), HasSubstr("No space left"));
}

TEST_F(PatientWriteTest, BytesGoWhereTheOffsetSays) {
  host_.file("/sys/config", "abcdefgh");
  const auto error =
      try_write_patiently(host_.path("/sys/config"), std::string("\0X", 2), 2, kLong);
  ASSERT_TRUE(error) << error.error().to_string();
  EXPECT_EQ(*error, 0);
  EXPECT_EQ(host_.read("/sys/config").value(), std::string("ab\0Xefgh", 8));
  EXPECT_EQ(try_write_patiently("/dev/full", "x", {}, kLong).value(), ENOSPC);
  EXPECT_EQ(try_write_patiently(host_.path("/sys/absent"), "x", 1, kLong).value(), ENOENT);
  EXPECT_EQ(try_write_patiently(fifo(), "x", {}, 20ms).value(), std::nullopt);
}

TEST_F(PatientWriteTest, WhatNeverComesBackIsGivenUp) {
  const auto written = write_patiently(fifo(), "x", 20ms);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_FALSE(*written);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "the child is gone, it could be killed";
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(PatientWriteTest, WhatComesBackInTimeIsAwaited) {
  const std::string path = fifo();
  const UniqueFd both(::open(path.c_str(), O_RDWR | O_CLOEXEC));  // so the child's open succeeds
  ASSERT_TRUE(both);
  const auto written = write_patiently(path, "abc", kLong);
  ASSERT_TRUE(written);
  EXPECT_TRUE(*written);
  std::array<char, 4> bytes{};
  EXPECT_EQ(::read(both.get(), bytes.data(), bytes.size()), 3);
}

// A lock, or the end of a pipe, must not live as long as a child that the kernel does not let go.
TEST_F(PatientWriteTest, ChildHasNoneOfOurFiles) {
  const std::string path = fifo();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, 0), 0);  // as a library might: exec would not close it either
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  std::thread waiting([&path] { EXPECT_TRUE(write_patiently(path, "x", kLong)); });
  siginfo_t none{};
  while (::waitid(P_ALL, 0, &none, WEXITED | WNOHANG | WNOWAIT) != 0) {
    std::this_thread::yield();  // until there is a child
  }
  writer.reset();
  struct pollfd event {
    .fd = reader.get(), .events = POLLIN, .revents = 0
  };
  EXPECT_EQ(::poll(&event, 1, 30'000), 1) << "nobody has the other end";
  EXPECT_NE(event.revents & POLLHUP, 0);
  const UniqueFd end(::open(path.c_str(), O_RDONLY | O_CLOEXEC));  // lets the child go on
  waiting.join();
}

}  // namespace
}  // namespace gpuvm::patient_write_test
