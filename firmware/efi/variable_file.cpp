// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/variable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

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

Status write_all(const std::string& path, std::span<const std::byte> bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot create " + path);
  }
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return fail_errno(ErrorKind::kHost, "Cannot write " + path);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (::fsync(fd.get()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<VariableFile>> VariableFile::open(std::string path) {
  auto block = empty_block();
  if (!path.empty() && exists(path)) {
    // One byte more than a store can have: then it is too long, and damaged too.
    auto bytes = TRY_CONTEXT(read_file(path, VariableStore::kBlockSize * 16, ErrorKind::kConfig),
                             "boot.vars");
    if (const char* wrong = VariableStore::check(bytes.data(), bytes.size())) {
      TRY(keep_aside(path, wrong));
    } else {
      block = std::move(bytes);
    }
  }
  return std::unique_ptr<VariableFile>(new VariableFile(std::move(path), std::move(block)));
}

std::vector<std::byte> VariableFile::block() const {
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  if (!path_.empty()) {
    const std::string temporary = path_ + ".new";
    TRY(write_all(temporary, copy));
    if (std::rename(temporary.c_str(), path_.c_str()) != 0) {
      return fail_errno(ErrorKind::kHost, fmt::format("Cannot rename {} to {}", temporary, path_));
    }
  }
  block_ = std::move(copy);
  return {};
}

}  // namespace gpuvm
