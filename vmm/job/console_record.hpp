// SPDX-License-Identifier: Apache-2.0
// ConsoleRecord: what a job keeps of its guest's console: all lines with their times in a file, as
// far as there is room for them, the lines of the kernel's log among them in another, and the last
// ones for the report.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "vmm/base/result.hpp"
#include "vmm/job/artifact_folder.hpp"
#include "vmm/job/record_file.hpp"
#include "vmm/verdict/console_lines.hpp"

namespace gpuvm {

/// One thread at a time. It never waits for a disk.
class ConsoleRecord {
 public:
  static constexpr std::uint64_t kMostInFile = 256ULL << 20;  ///< bytes; a guest may print for ever
  static constexpr std::size_t kTail = 16 << 10;              ///< bytes

  /// For the report alone.
  ConsoleRecord() = default;
  /// Also in console.log and dmesg.log of this folder. Errors: kUsage, kHost.
  static Result<std::unique_ptr<ConsoleRecord>> in(const ArtifactFolder& folder);
  /// Also in these files; null: not there.
  ConsoleRecord(std::unique_ptr<RecordFile> all, std::unique_ptr<RecordFile> of_kernel)
      : all_(std::move(all)), of_kernel_(std::move(of_kernel)) {}

  void line(const ConsoleLine& line);
  /// Writes what is not written yet.
  void finish();
  /// The last lines, whole, at most kTail bytes.
  std::string tail() const;

 private:
  std::unique_ptr<RecordFile> all_;
  std::unique_ptr<RecordFile> of_kernel_;
  std::string tail_;  ///< up to twice as much
};

}  // namespace gpuvm
