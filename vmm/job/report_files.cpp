// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/report_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "vmm/base/output_file.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/job/artifact_folder.hpp"

namespace gpuvm {
namespace {

/// A file that is there already and holds something is one of an earlier job, which is replaced, or
/// something that a mistyped command line would destroy: a disk image, a kernel, the configuration.
/// Reports are JSON or XML, and begin so.
Status check_is_report(const std::string& path) {
  const UniqueFd file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW));
  struct stat facts = {};
  if (!file || ::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size == 0) {
    return {};
  }
  char first = 0;
  if (::pread(file.get(), &first, 1, 0) == 1 && (first == '{' || first == '<')) {
    return {};
  }
  return fail(ErrorKind::kUsage,
              "{} is there and is no report of an earlier job, so it is not replaced: name another "
              "file, or remove it",
              path);
}

/// Where the file lies may be a checkout, in which a change under test has put a symbolic link to
/// any file of the host; open_output() follows none.
Result<UniqueFd> open_report(const std::string& path) {
  TRY(check_is_report(path));
  return open_output(path, {.start = OutputRules::Start::kEmpty, .kind = ErrorKind::kUsage});
}

/// Two reports there would leave only one of them, or rubbish.
bool is_same_file(int one, int other) {
  struct stat a = {};
  struct stat b = {};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && S_ISREG(a.st_mode) &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

Result<ReportFiles> ReportFiles::open(std::vector<ReportTarget> targets) {
  ReportFiles files;
  for (ReportTarget& target : targets) {
    if (target.path.empty()) {
      continue;
    }
    UniqueFd file = TRY(open_report(target.path));
    for (const Opened& other : files.files_) {
      if (is_same_file(other.file.get(), file.get())) {
        return fail(ErrorKind::kUsage,
                    "Two reports are to be written to {}: give each its own file", target.path);
      }
    }
    files.files_.push_back({std::move(target), std::move(file)});
  }
  return files;
}

Status ReportFiles::write(const JobReport& report) const {
  WorstError errors;
  for (const Opened& one : files_) {
    errors.add(write_whole(one.file.get(), one.target.text(report), one.target.path));
  }
  return errors.take();
}

std::vector<std::string> paths_guest_may_write(const Config& config,
                                               const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  const auto place_of = [](const std::string& path) {
    std::error_code error;
    return fs::weakly_canonical(fs::absolute(path, error), error);
  };
  std::vector<std::string> found;
  for (const ShareConfig& share : config.shares) {
    const fs::path folder = place_of(share.path);
    for (const std::string& path : paths) {
      const fs::path place = path.empty() ? fs::path() : place_of(path);
      const bool is_inside =
          std::mismatch(folder.begin(), folder.end(), place.begin(), place.end()).first ==
          folder.end();
      if (is_inside && !folder.empty() && !share.read_only) {
        found.push_back(fmt::format("{} (in the share {})", path, share.tag));
      }
    }
  }
  return found;
}

}  // namespace gpuvm
