// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/kept_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

namespace gpuvm {
namespace {

Status lock_whole(int fd, const std::string& path) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &whole) == 0
             ? Status()
             : Status(fail_errno(ErrorKind::kHost, "Cannot lock " + path));
}

}  // namespace

Result<std::uint32_t> KeptFiles::declare(const std::string& path, FileUse use) {
  if (!path.starts_with('/') || path.ends_with('/')) {
    return fail(ErrorKind::kConfig, "{} is not the absolute path of a file", path);
  }
  if (files_.size() >= kMost) {
    return fail(ErrorKind::kHost, "An owner keeps {} files, and no more", kMost);
  }
  File file;
  file.path = path;
  file.use = use;
  if (use == FileUse::kReplace) {
    file.place = TRY(OutputPlace::open(path, ErrorKind::kConfig));
    if (!TRY(file.place->open_existing(O_RDONLY))) {
      return fail(ErrorKind::kConfig, "{} is not there", path);
    }
  }
  files_.push_back(std::move(file));
  return static_cast<std::uint32_t>(files_.size() - 1);
}

Status KeptFiles::replace(std::uint32_t number, std::span<const std::byte> contents) {
  if (number >= files_.size() || files_[number].use != FileUse::kReplace) {
    return fail(ErrorKind::kInternal, "No file to replace has the number {}", number);
  }
  File& file = files_[number];
  NewFile made = TRY(file.place->create(0600));
  TRY(lock_whole(made.fd(), file.path));
  // SAFETY: bytes as characters.
  TRY(write_output(made.fd(), {reinterpret_cast<const char*>(contents.data()), contents.size()},
                   file.path));
  file.lock = TRY(made.take_place(NewFile::Place::kReplace));
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
