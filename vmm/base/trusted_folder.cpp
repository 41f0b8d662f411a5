// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/trusted_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace gpuvm {
namespace {

/// "run" of "run//": a path that ends in a slash follows a link.
std::string folder_path(const std::string& path) {
  if (path.empty()) {
    return ".";
  }
  const auto last = path.find_last_not_of('/');
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

}  // namespace

Status check_trusted_folder(int fd, const std::string& path) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine the folder " + path);
  }
  if (found.st_uid != 0 && found.st_uid != ::geteuid()) {
    return fail(ErrorKind::kHost,
                "The folder {} belongs to another user (id {}), who could replace what is made "
                "there: use a folder of root's or of this user (id {})",
                path, found.st_uid, ::geteuid());
  }
  const bool others_write = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (others_write && (found.st_mode & S_ISVTX) == 0) {
    return fail(ErrorKind::kHost,
                "Others than the owner may replace what is in the folder {} (mode {:04o}): `chmod "
                "go-w {}`, or, where several users have files there, `chmod +t {}`",
                path, found.st_mode & 07777U, path, path);
  }
  return {};
}

Result<UniqueFd> open_trusted_folder(const std::string& path) {
  const std::string place = folder_path(path);
  UniqueFd fd(::open(place.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    const int error = errno;
    struct stat found {};
    const bool is_there = ::lstat(place.c_str(), &found) == 0;
    if (is_there && S_ISLNK(found.st_mode)) {
      return fail(ErrorKind::kHost,
                  "The folder {} is a symbolic link, and none is followed: name its target", place);
    }
    if (is_there && !S_ISDIR(found.st_mode)) {
      return fail(ErrorKind::kHost, "{} is no folder: name another one, or remove it", place);
    }
    if (error == ENOENT || error == ENOTDIR || error == EACCES) {
      return UniqueFd();
    }
    return fail_errno(ErrorKind::kHost, "Cannot open the folder " + place, error);
  }
  TRY(check_trusted_folder(fd.get(), place));
  return fd;
}

Result<UniqueFd> make_trusted_folder(const std::string& path) {
  const std::string place = folder_path(path);
  if (::mkdir(place.c_str(), ::geteuid() == 0 ? 0755 : 0700) != 0 && errno != EEXIST) {
    return fail_errno(ErrorKind::kHost, "Cannot make the folder " + place);
  }
  UniqueFd fd = TRY(open_trusted_folder(place));
  if (!fd) {
    return fail(ErrorKind::kHost, "The folder {} is removed by another process", place);
  }
  return fd;
}

}  // namespace gpuvm
