// SPDX-License-Identifier: Apache-2.0
// RecordFile: a file of a job's record (console.log, events.jsonl), written by a thread of its own.
// A file system makes whoever writes wait as long as it likes (a server that does not answer, a
// disk that is busy), and whoever has a line here may be a vCPU: it never waits. Bounded: what
// waits for the disk, and the file.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class RecordFile {
 public:
  struct Options {
    std::string name = {};                            ///< of the file, in messages
    std::uint64_t most = std::uint64_t{64} << 20;     ///< bytes that the file gets
    std::size_t most_waiting = std::size_t{4} << 20;  ///< bytes that wait for the disk
    /// How long finish() waits for a file system that does not take what is left.
    std::chrono::milliseconds patience{5000};
    /// write(2), which it is but in tests.
    std::function<ssize_t(int, std::span<const std::byte>)> write = {};
    /// How a line is written that says of others that they are not there; as it is where empty.
    std::function<std::string(const std::string&)> remark = {};
  };
  /// Errors: kHost: no more threads.
  static Result<std::unique_ptr<RecordFile>> start(UniqueFd file, Options options);
  /// As finish().
  ~RecordFile() { finish(); }
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  /// A whole line, with its line break. Where there is no room for it, in the file or for want of a
  /// fast disk, it is left out, which the file says at this place. Any thread; never waits.
  void add(std::string_view line);
  /// Writes what waits, and ends the thread; one that hangs in the kernel is left there, which the
  /// log says. Lines that come later are left out.
  void finish();
  /// Lines that are not in the file.
  std::uint64_t left_out() const;

 private:
  class Writer;
  explicit RecordFile(std::shared_ptr<Writer> writer) : writer_(std::move(writer)) {}

  /// Shared with its thread, which may have to be left alone.
  std::shared_ptr<Writer> writer_;
  std::thread thread_;
};

}  // namespace gpuvm
