// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/result_file.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace gpuvm {
namespace {

std::chrono::system_clock::time_point time_of(const timespec& time) {
  const auto since_epoch =
      std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(since_epoch));
}

}  // namespace

Result<std::unique_ptr<ResultFile>> ResultFile::open(const std::string& folder, std::string path) {
  UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kConfig,
                      "test.result_file: cannot open the shared folder " + folder);
  }
  std::unique_ptr<ResultFile> file(new ResultFile(std::move(fd), std::move(path)));
  auto found = file->find();
  if (!found && found.error().kind() == ErrorKind::kHost) {
    return std::move(found).error();
  }
  if (found && *found) {
    file->before_ = stamp_of(found->get());
  }
  return file;
}

/// Without opening what it is: that is looked at first. No descriptor: it is not there.
Result<UniqueFd> ResultFile::find() const {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long found = ::syscall(SYS_openat2, folder_.get(), path_.c_str(), &how, sizeof how);
  if (found >= 0) {
    return UniqueFd(static_cast<int>(found));
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return UniqueFd();
  }
  if (errno == ENOSYS || errno == EPERM) {
    return fail_errno(ErrorKind::kHost,
                      "test.result_file: this host's kernel has no openat2, or a container forbids "
                      "it; use another channel, such as test.status_port");
  }
  if (errno == ELOOP || errno == EXDEV) {
    return fail(ErrorKind::kGuest, "{} is behind a symbolic link, and none is followed", path_);
  }
  return fail_errno(ErrorKind::kGuest, "Cannot open " + path_);
}

std::optional<ResultFile::Stamp> ResultFile::stamp_of(int file) {
  struct stat info {};
  if (::fstat(file, &info) != 0) {
    return std::nullopt;
  }
  return Stamp{.device = info.st_dev, .inode = info.st_ino, .changed = info.st_ctim};
}

/// A guest cannot set the time of change.
bool ResultFile::is_of_before(int found) const {
  const auto now = stamp_of(found);
  return before_ && now && now->device == before_->device && now->inode == before_->inode &&
         now->changed.tv_sec == before_->changed.tv_sec &&
         now->changed.tv_nsec == before_->changed.tv_nsec;
}

Result<std::optional<ResultFile::Line>> ResultFile::first_line() const {
  const auto found = TRY(find());
  if (!found) {
    return std::optional<Line>();
  }
  if (is_of_before(found.get())) {
    return fail(ErrorKind::kGuest, "{} was there before the run, and the guest has not written it",
                path_);
  }
  Line line;
  line.text = TRY(read(found.get()));
  line.text.resize(std::min(line.text.find('\n'), line.text.size()));
  if (line.text.ends_with('\r')) {
    line.text.pop_back();
  }
  const auto stamp = stamp_of(found.get());
  line.written = stamp ? time_of(stamp->changed) : std::chrono::system_clock::now();
  return std::optional(std::move(line));
}

Result<std::string> ResultFile::read(int found) const {
  struct stat info {};
  if (::fstat(found, &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kGuest, "{} is no regular file", path_);
  }
  if (info.st_size > static_cast<off_t>(kMostBytes)) {
    return fail(ErrorKind::kGuest, "{} has {} bytes, and a result at most {}", path_, info.st_size,
                kMostBytes);
  }
  const auto self = "/proc/self/fd/" + std::to_string(found);  // the same file, whatever its path
  const UniqueFd file(::open(self.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  std::array<char, kMostBytes> bytes;
  const ssize_t got = file ? ::read(file.get(), bytes.data(), bytes.size()) : -1;
  if (got < 0) {
    return fail_errno(ErrorKind::kGuest, "Cannot read " + path_);
  }
  return std::string(bytes.data(), static_cast<std::size_t>(got));
}

}  // namespace gpuvm
