// SPDX-License-Identifier: Apache-2.0
// FileOutput: files that hang, that are full, and guests that never stop printing.
#include "vmm/console/file_output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <new>
#include <thread>

namespace gpuvm::file_output_test {
namespace {

using namespace std::chrono_literals;

class FileOutputTest : public ::testing::Test {
 protected:
  ~FileOutputTest() override { std::filesystem::remove(path_); }
  void start(FileOutput::Options options) {
    options.name = "console's file " + path_;
    UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(file);
    output_ = FileOutput::start(std::move(file), std::move(options)).value();
    pipe_ = output_->take_pipe();
  }
  /// What the pipe took of it.
  std::size_t print(const std::string& text) const {
    const auto written = ::write(pipe_.get(), text.data(), text.size());
    return written > 0 ? static_cast<std::size_t>(written) : 0;
  }
  void end() {
    pipe_.reset();
    output_.reset();
  }
  std::string text() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string path_ = [] {
    std::string path = ::testing::TempDir() + "console-XXXXXX";
    ::close(::mkstemp(path.data()));
    return path;
  }();
  std::unique_ptr<FileOutput> output_;
  UniqueFd pipe_;
};

TEST_F(FileOutputTest, TheEndOfARunLosesNothing) {
  start({.most = 1 << 20});
  std::string all;
  for (unsigned i = 0; i < 100; ++i) {
    const auto line = "line " + std::to_string(i) + "\n";
    ASSERT_EQ(print(line), line.size());
    all += line;
  }
  end();
  EXPECT_EQ(text(), all);
}

TEST_F(FileOutputTest, AFileHasALimitAndSaysSoOnce) {
  start({.most = 1000});
  testing::internal::CaptureStderr();
  std::size_t taken = 0;
  for (const auto until = std::chrono::steady_clock::now() + 20s;
       taken < 1'000'000 && std::chrono::steady_clock::now() < until;) {
    taken += print(std::string(900, 'x'));  // which is never kept waiting for ever
  }
  end();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_GE(taken, 1'000'000U);
  EXPECT_EQ(text(), std::string(1000, 'x') +
                        "\r\n[gpuvm: 1000 bytes were printed, and the file gets no more in this "
                        "run]\r\n");
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

// A server that does not answer, a disk that is busy: whoever prints goes on.
TEST_F(FileOutputTest, AFileThatHangsKeepsNobody) {
  std::promise<void> answer;
  const auto answered = answer.get_future().share();
  start({.most = 1 << 20, .patience = 50ms, .write = [answered](int fd, auto bytes) {
           answered.wait();
           return FileOutput::write_to(fd, bytes);
         }});
  std::size_t taken = 0;
  while (const auto some = print(std::string(1000, 'x'))) {
    taken += some;
    ASSERT_LT(taken, 10U << 20);
  }
  EXPECT_EQ(errno, EAGAIN);
  testing::internal::CaptureStderr();
  end();  // nor is the end of the run
  EXPECT_NE(testing::internal::GetCapturedStderr().find("does not take the end"),
            std::string::npos);
  answer.set_value();
  while (text().size() < taken) {  // until the thread that was left there is done
    std::this_thread::sleep_for(1ms);
  }
}

TEST_F(FileOutputTest, AFileThatIsFullKeepsNobodyEither) {
  start({.most = 1 << 20, .write = [](int, auto) {
           errno = ENOSPC;
           return ssize_t{-1};
         }});
  testing::internal::CaptureStderr();
  std::size_t taken = 0;
  for (const auto until = std::chrono::steady_clock::now() + 20s;
       taken < 1'000'000 && std::chrono::steady_clock::now() < until;) {
    taken += print(std::string(900, 'x'));
  }
  end();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_GE(taken, 1'000'000U);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("No space left"), std::string::npos) << said;
}

// An exception that left the thread would end the process, and leave its devices as they are.
TEST_F(FileOutputTest, AWriterWithoutMemoryKeepsNobody) {
  start({.most = 1 << 20, .write = [](int, auto) -> ssize_t { throw std::bad_alloc(); }});
  testing::internal::CaptureStderr();
  std::size_t taken = 0;
  for (const auto until = std::chrono::steady_clock::now() + 20s;
       taken < 1'000'000 && std::chrono::steady_clock::now() < until;) {
    taken += print(std::string(900, 'x'));
  }
  end();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_GE(taken, 1'000'000U);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("bad_alloc"), std::string::npos) << said;
}

}  // namespace
}  // namespace gpuvm::file_output_test
