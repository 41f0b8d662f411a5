// SPDX-License-Identifier: Apache-2.0
// ConsoleRecord: what a job keeps of its guest's console: all lines with their times in a file, as
// far as there is room for them, and the last ones for the report.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "vmm/base/unique_fd.hpp"
#include "vmm/verdict/console_lines.hpp"

namespace gpuvm {

/// One thread at a time.
class ConsoleRecord {
 public:
  static constexpr std::uint64_t kMostInFile = 256ULL << 20;  ///< bytes; a guest may print for ever
  static constexpr std::size_t kTail = 16 << 10;              ///< bytes

  /// file: empty for none. Its name is for messages.
  ConsoleRecord(UniqueFd file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  void line(const ConsoleLine& line);
  /// Says in the file how much is not there, if something is not.
  void finish();
  /// The last lines, whole, at most kTail bytes.
  std::string tail() const;
  /// Lines that the file has no room for.
  std::uint64_t left_out() const { return left_out_; }

 private:
  void write(const std::string& text);

  UniqueFd file_;
  const std::string name_;
  std::uint64_t written_ = 0;
  std::uint64_t left_out_ = 0;
  std::string tail_;  ///< up to twice as much
};

}  // namespace gpuvm
