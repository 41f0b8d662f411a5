// SPDX-License-Identifier: Apache-2.0
// The file that a report is written to. It is made before a device is touched, so that a place
// where nothing can be written is known then, and never in place of a file that is there.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// One thread. Without a save() it takes the file away when it goes.
class ReportFile {
 public:
  /// Errors: kConfig: it is there, or cannot be made.
  static Result<ReportFile> create(const std::string& path);
  ReportFile(ReportFile&& other) noexcept;
  ReportFile& operator=(ReportFile&&) = delete;
  ~ReportFile();

  /// Puts the text in place of what was saved before; on disk when this returns. Errors: kHost.
  Status save(std::string_view text);

 private:
  ReportFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;  ///< empty: moved from
  UniqueFd fd_;
  bool is_saved_ = false;
};

}  // namespace gpuvm
