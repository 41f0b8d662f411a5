// SPDX-License-Identifier: Apache-2.0
// Writes that succeed, are refused, and never come back: a FIFO without a reader cannot be opened.
#include "vmm/host/patient_write.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

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

// What a child that the kernel does not let go has open, nobody else can take.
TEST_F(PatientWriteTest, ChildHasNoneOfOurFiles) {
  const std::string path = fifo();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, 0), 0);  // as another library might: not closed by exec
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t waiting = ::fork();
  if (waiting == 0) {
    // The only other process with the pipe's write end would be the child of the write.
    const auto written = write_patiently(path, "x", kLong);
    ::_exit(written ? 0 : 1);
  }
  ASSERT_GT(waiting, 0);
  // The child has got as far as open(), behind the closing of files, once there is a reader for it.
  const UniqueFd fifo_end(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fifo_end);
  int status = 0;
  ASSERT_EQ(::waitpid(waiting, &status, 0), waiting);
  EXPECT_EQ(status, 0);
  writer.reset();
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0);
}

}  // namespace
}  // namespace gpuvm::patient_write_test
