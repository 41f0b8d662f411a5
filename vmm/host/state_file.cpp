// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/state_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "vmm/base/trusted_folder.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kLongestState = 32 << 10;

// Another process may have removed the file between our open and our lock.
bool is_still_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

std::string StateFile::path(const Bdf& bdf, std::string_view suffix) {
  return fmt::format("{}/{}{}", kStateDirectory, bdf.to_string(), suffix);
}

Result<UniqueFd> open_state_folder(const std::string& folder) {
  constexpr mode_t kMode = 0755;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
  if (::mkdir(folder.c_str(), kMode) != 0 && errno != EEXIST) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot create {} (root is needed to take a device)", folder));
  }
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot open the folder " + folder);
  }
  TRY(check_trusted_folder(fd.get(), folder));
  // The names in it are known: with the sticky bit another user could make one of them first.
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(ErrorKind::kHost,
                "Others than its owner may make records of devices in {}: chmod go-w {}", folder,
                folder);
  }
  return fd;
}

bool may_write_state(const HostSystem& host) {
  const std::string directory = host.path(kStateDirectory);
  return ::geteuid() == 0 || ::access(directory.c_str(), W_OK) == 0;
}

bool is_state_open(const HostSystem& host, std::string_view name, long pid) {
  if (pid <= 0) {
    return false;
  }
  const std::string file = host.path(fmt::format("{}/{}", kStateDirectory, name));
  const std::string descriptors = fmt::format("/proc/{}/fd", pid);
  const auto numbers = host.list(descriptors);
  return std::any_of(numbers.begin(), numbers.end(), [&](const std::string& number) {
    return host.link_text(fmt::format("{}/{}", descriptors, number)) == file;
  });
}

Result<StateFile> StateFile::claim(const HostSystem& host, const Bdf& bdf, std::string_view suffix,
                                   const std::function<Error(const std::string& path)>& busy) {
  return claim(host, fmt::format("{}{}", bdf.to_string(), suffix), busy);
}

Result<StateFile> StateFile::claim(const HostSystem& host, std::string_view name,
                                   const std::function<Error(const std::string& path)>& busy) {
  const UniqueFd folder = TRY(open_state_folder(host.path(kStateDirectory)));
  const std::string path = host.path(fmt::format("{}/{}", kStateDirectory, name));
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    UniqueFd fd(::openat(folder.get(), std::string(name).c_str(),
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
      return fail_errno(ErrorKind::kHost,
                        "Cannot open " + path + " (root is needed to take a device)");
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return busy(path);
    }
    if (is_still_at(fd.get(), path)) {
      return StateFile(std::move(fd), path);
    }
  }
  return fail(ErrorKind::kHost, "{} keeps being replaced by another process", path);
}

Result<StateFile> StateFile::adopt(const HostSystem& host, std::string_view name, UniqueFd fd) {
  const std::string path = host.path(fmt::format("{}/{}", kStateDirectory, name));
  struct stat info {};
  const bool is_file = fd && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) &&
                       (::fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDWR;
  if (name.empty() || name.find('/') != std::string_view::npos || !is_file ||
      !is_still_at(fd.get(), path)) {
    return fail(ErrorKind::kHost, "What was handed over is not {}", path);
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::kHost, "{} was handed over, but another process has its lock", path);
  }
  return StateFile(std::move(fd), path);
}

Result<std::string> StateFile::read() const {
  std::string text(kLongestState, '\0');
  const ssize_t got = ::pread(fd_.get(), text.data(), text.size(), 0);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + path_);
  }
  text.resize(static_cast<std::size_t>(got));
  return text;
}

// Never empty in between: a crash must not turn a record into none.
Status StateFile::write(std::string_view text) {
  const bool done =
      ::pwrite(fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
      ::ftruncate(fd_.get(), static_cast<off_t>(text.size())) == 0 && ::fsync(fd_.get()) == 0;
  return done ? Status() : Status(fail_errno(ErrorKind::kHost, "Cannot write " + path_));
}

void StateFile::remove() {
  ::unlink(path_.c_str());
}

}  // namespace gpuvm
