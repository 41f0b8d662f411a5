// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/report_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vmm/base/file.hpp"

namespace gpuvm {

Result<ReportFile> ReportFile::create(const std::string& path) {
  constexpr mode_t kMode = 0644;
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (!fd) {
    return new_file_error(ErrorKind::kConfig, path);
  }
  return ReportFile(path, std::move(fd));
}

ReportFile::ReportFile(ReportFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(std::move(other.fd_)),
      is_saved_(other.is_saved_) {}

ReportFile::~ReportFile() {
  if (!path_.empty() && !is_saved_) {
    ::unlink(path_.c_str());
  }
}

Status ReportFile::save(std::string_view text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t put =
        ::pwrite(fd_.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (put < 0 && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "Cannot write " + path_);
    }
    done += put > 0 ? static_cast<std::size_t>(put) : 0;
  }
  // fsync(2) fails on what is no file on a disk, such as a FIFO, which O_EXCL has ruled out.
  if (::ftruncate(fd_.get(), static_cast<off_t>(text.size())) != 0 || ::fsync(fd_.get()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path_);
  }
  is_saved_ = true;
  return {};
}

}  // namespace gpuvm
