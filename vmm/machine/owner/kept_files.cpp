// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/kept_files.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace gpuvm {
namespace {

Status check_replaceable(int folder, const std::string& name, const std::string& path) {
  struct stat info {};
  if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(ErrorKind::kConfig, "Cannot examine " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kConfig,
                "{} is not a regular file: name the file itself, and not a link to it", path);
  }
  return {};
}

/// A name that nobody can have prepared.
Result<std::string> new_name(const std::string& name) {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
    return fail_errno(ErrorKind::kHost, "Cannot get a random number");
  }
  return fmt::format(".{}.{:016x}", name, number);
}

Status lock_whole(int fd, const std::string& path) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &whole) == 0
             ? Status()
             : Status(fail_errno(ErrorKind::kHost, "Cannot lock " + path));
}

Status fill(int fd, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return fail_errno(ErrorKind::kHost, "Cannot write " + path);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return ::fsync(fd) == 0 ? Status() : Status(fail_errno(ErrorKind::kHost, "Cannot write " + path));
}

}  // namespace

Result<std::uint32_t> KeptFiles::declare(const std::string& path, FileUse use) {
  const auto slash = path.find_last_of('/');
  if (!path.starts_with('/') || slash + 1 == path.size()) {
    return fail(ErrorKind::kConfig, "{} is not the absolute path of a file", path);
  }
  if (files_.size() >= kMost) {
    return fail(ErrorKind::kHost, "An owner keeps {} files, and no more", kMost);
  }
  File file;
  file.path = path;
  file.use = use;
  if (use == FileUse::kReplace) {
    file.name = path.substr(slash + 1);
    const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
    file.folder.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!file.folder) {
      return fail_errno(ErrorKind::kConfig, "Cannot open the folder " + folder);
    }
    TRY(check_replaceable(file.folder.get(), file.name, path));
  }
  files_.push_back(std::move(file));
  return static_cast<std::uint32_t>(files_.size() - 1);
}

Status KeptFiles::replace(std::uint32_t number, std::span<const std::byte> contents) {
  if (number >= files_.size() || files_[number].use != FileUse::kReplace) {
    return fail(ErrorKind::kInternal, "No file to replace has the number {}", number);
  }
  File& file = files_[number];
  const std::string made = TRY(new_name(file.name));
  UniqueFd fd(::openat(file.folder.get(), made.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot create a new " + file.path);
  }
  Status done = lock_whole(fd.get(), file.path);
  if (done) {
    done = fill(fd.get(), contents, file.path);
  }
  if (done &&
      ::renameat(file.folder.get(), made.c_str(), file.folder.get(), file.name.c_str()) != 0) {
    done = fail_errno(ErrorKind::kHost, "Cannot replace " + file.path);
  }
  if (!done) {
    ::unlinkat(file.folder.get(), made.c_str(), 0);
    return done;
  }
  file.lock = std::move(fd);
  return {};
}

Result<UniqueFd> KeptFiles::open(std::uint32_t number) const {
  if (number >= files_.size() || files_[number].use != FileUse::kRead) {
    return fail(ErrorKind::kInternal, "No file to read has the number {}", number);
  }
  const File& file = files_[number];
  // O_NONBLOCK: a FIFO must not make us wait.
  UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return fail_errno(ErrorKind::kConfig, "Cannot open " + file.path);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kConfig, "{} is not a regular file", file.path);
  }
  return fd;
}

}  // namespace gpuvm
