// SPDX-License-Identifier: Apache-2.0
// FileOutput: a regular file as the place of a console, behind a pipe. A file makes whoever writes
// to it wait as long as its file system likes (a server that does not answer, a disk that is busy),
// whatever O_NONBLOCK says; here a thread waits, and no vCPU. And a guest prints as much as it
// likes: the file has a limit, and says so at its end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class FileOutput {
 public:
  struct Options {
    std::string name = {};   ///< of the console and its file, in messages
    std::uint64_t most = 0;  ///< bytes of the console that the file gets in a run
    /// How long the end of a run waits for a file system that does not take what is left.
    std::chrono::milliseconds patience{5000};
    /// write(2), which it is but in tests.
    std::function<ssize_t(int, std::span<const std::byte>)> write = write_to;
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<FileOutput>> start(UniqueFd file, Options options);
  /// Writes what is in the pipe. A thread that hangs in the kernel is left there, which the log
  /// says.
  ~FileOutput();
  FileOutput(const FileOutput&) = delete;
  FileOutput& operator=(const FileOutput&) = delete;

  /// Where to write to, without waiting: once.
  UniqueFd take_pipe() { return std::move(pipe_); }

  static ssize_t write_to(int fd, std::span<const std::byte> bytes);

 private:
  class Writer;
  FileOutput(std::shared_ptr<Writer> writer, UniqueFd pipe);

  /// Shared with its thread, which may have to be left alone.
  std::shared_ptr<Writer> writer_;
  UniqueFd pipe_;
  std::thread thread_;
};

}  // namespace gpuvm
