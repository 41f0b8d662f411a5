// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/fw_cfg_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

namespace gpuvm {

Result<FwCfgFile> FwCfgFile::open(const std::string& path, const std::string& what) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return fail_errno(ErrorKind::kConfig, fmt::format("Cannot open {} {}", what, path));
  }
  if (!S_ISREG(info.st_mode) || info.st_size < 0 ||
      info.st_size > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorKind::kConfig, "{} {} is not a regular file of less than 4 GiB", what, path);
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  return FwCfgFile(std::make_shared<const Opened>(path, std::move(fd)), 0, size);
}

FwCfgFile FwCfgFile::part(std::uint64_t offset, std::uint64_t size) const {
  return {file_, offset_ + offset, size};
}

bool FwCfgFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  std::uint64_t at = offset_ + offset;
  while (!out.empty()) {
    const ssize_t got = ::pread(file_->fd.get(), out.data(), out.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      if (file_->limit.allow()) {
        log::error("Cannot read {} for the guest's firmware{}", file_->path,
                   got == 0 ? ": it has become shorter" : "");
      }
      return false;
    }
    out = out.subspan(static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
  return true;
}

}  // namespace gpuvm
