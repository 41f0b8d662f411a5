// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/variable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "firmware/efi/variable_store.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {
namespace {

using efi::VariableStore;

constexpr unsigned kKeptDamaged = 100;

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

std::vector<std::byte> empty_block() {
  std::vector<std::byte> block(VariableStore::kBlockSize);
  VariableStore store(block.data());
  store.format();
  block.resize(store.used());
  return block;
}

Status keep_aside(const std::string& path, const char* why) {
  for (unsigned i = 1; i <= kKeptDamaged; ++i) {
    const std::string kept = i == 1 ? path + ".damaged" : fmt::format("{}.damaged-{}", path, i);
    if (exists(kept)) {
      continue;
    }
    if (std::rename(path.c_str(), kept.c_str()) != 0) {
      return fail_errno(ErrorKind::kConfig, fmt::format("Cannot rename {} to {}", path, kept));
    }
    log::warn(
        "The EFI variables in {} are damaged ({}); the file is kept as {}, and the guest "
        "starts without variables",
        path, why, kept);
    return {};
  }
  return fail(ErrorKind::kConfig,
              "The EFI variables in {} are damaged ({}), and there are {} damaged ones beside it; "
              "remove some",
              path, why, kKeptDamaged);
}

/// Ours until the descriptor is closed. Errors: kConfig.
Status lock(int fd, const std::string& path) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_SETLK, &whole) == 0) {
    return {};
  }
  if (errno != EAGAIN && errno != EACCES) {
    return fail_errno(ErrorKind::kConfig, "Cannot lock " + path);
  }
  return fail(ErrorKind::kConfig,
              "boot.vars: {} is in use by another guest; give each guest its own", path);
}

Status write_all(int fd, const std::string& path, std::span<const std::byte> bytes) {
  if (::ftruncate(fd, 0) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path);
  }
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
  if (::fsync(fd) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path);
  }
  return {};
}

/// The file that `path` names, locked; nothing where there is none. Its owner may have put another
/// one in its place before we had the lock.
Result<UniqueFd> open_locked(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) {
    return fd;
  }
  if (!fd) {
    return fail_errno(ErrorKind::kConfig, "boot.vars: Cannot open " + path + " for writing");
  }
  TRY(lock(fd.get(), path));
  struct stat ours {};
  struct stat there {};
  if (::fstat(fd.get(), &ours) != 0 || ::stat(path.c_str(), &there) != 0 ||
      ours.st_ino != there.st_ino) {
    return fail(ErrorKind::kConfig,
                "boot.vars: {} is in use by another guest; give each guest its own", path);
  }
  return fd;
}

/// Nothing for what is no store, which is kept under another name.
Result<std::optional<std::vector<std::byte>>> read_store(const std::string& path) {
  auto bytes =
      TRY_CONTEXT(read_file(path, VariableStore::kBlockSize * 16, ErrorKind::kConfig), "boot.vars");
  const char* wrong = bytes.size() > VariableStore::kBlockSize
                          ? "it is too long"
                          : VariableStore::check(bytes.data(), bytes.size());
  if (wrong == nullptr) {
    return std::optional(std::move(bytes));
  }
  TRY(keep_aside(path, wrong));
  return std::optional<std::vector<std::byte>>();
}

}  // namespace

Result<std::unique_ptr<VariableFile>> VariableFile::open(std::string path) {
  std::unique_ptr<VariableFile> file(new VariableFile(std::move(path), empty_block()));
  if (!file->path_.empty()) {
    TRY(file->load());
  }
  return file;
}

Status VariableFile::load() {
  const MutexLock lock(mutex_);
  fd_ = TRY(open_locked(path_));
  auto kept = fd_ ? TRY(read_store(path_)) : std::nullopt;
  if (kept) {
    block_ = *std::move(kept);
  } else if (auto made = replace(block_, RENAME_NOREPLACE); !made) {
    return fail(ErrorKind::kConfig, "boot.vars: {}", made.error().to_string());
  }
  return {};
}

std::vector<std::byte> VariableFile::block() const {
  const MutexLock lock(mutex_);
  return block_;
}

Status VariableFile::save(std::span<const std::byte> block) {
  std::vector<std::byte> copy(block.begin(), block.end());
  if (const char* wrong = VariableStore::check(copy.data(), copy.size())) {
    return fail(ErrorKind::kInternal, "The guest's EFI variables cannot be kept: {}", wrong);
  }
  copy.resize(VariableStore::kBlockSize);
  VariableStore store(copy.data());
  store.drop_volatile();
  copy.resize(store.used());
  const MutexLock lock(mutex_);
  if (!path_.empty()) {
    TRY(replace_by_ ? replace_by_(copy) : replace(copy, 0));
  }
  block_ = std::move(copy);
  return {};
}

void VariableFile::replace_by(Replace replace) {
  const MutexLock lock(mutex_);
  replace_by_ = std::move(replace);
}

/// A new file in the old one's place, so that there is a whole one at any time. It is locked before
/// it has its name.
Status VariableFile::replace(std::span<const std::byte> block, unsigned rename_flags) {
  const std::string temporary = path_ + ".new";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot create " + temporary);
  }
  TRY(lock(fd.get(), path_));
  TRY(write_all(fd.get(), temporary, block));
  int done = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path_.c_str(), rename_flags);
  if (done != 0 && errno == EINVAL) {  // a file system that cannot refuse to replace
    done = std::rename(temporary.c_str(), path_.c_str());
  }
  if (done != 0) {
    auto error =
        fail_errno(ErrorKind::kHost, fmt::format("Cannot rename {} to {}", temporary, path_));
    ::unlink(temporary.c_str());
    return error;
  }
  fd_ = std::move(fd);
  return {};
}

}  // namespace gpuvm
