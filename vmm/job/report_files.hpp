// SPDX-License-Identifier: Apache-2.0
// ReportFiles: the report of a job in the files that the user wants it in. They are opened before a
// device is touched; one that is empty afterwards says that gpuvm did not live to write it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/config/config.hpp"
#include "vmm/verdict/job_report.hpp"

namespace gpuvm {

/// A file and what is written there.
struct ReportTarget {
  std::string path = {};  ///< empty: none
  std::function<std::string(const JobReport&)> text = {};
};

class ReportFiles {
 public:
  /// Makes the files, or empties them. A path's last part must not be a symbolic link, but in /dev.
  /// Errors: kUsage.
  static Result<ReportFiles> open(std::vector<ReportTarget> targets);
  /// Once. Errors: kHost; the other files are written all the same.
  Status write(const JobReport& report) const;

 private:
  struct Opened {
    ReportTarget target;
    UniqueFd file;
  };
  std::vector<Opened> files_;
};

/// Of these paths (an empty one is none) those in a folder that the guest may write, each with its
/// share: there a guest can put what it likes in a report's place.
std::vector<std::string> paths_guest_may_write(const Config& config,
                                               const std::vector<std::string>& paths);

}  // namespace gpuvm
