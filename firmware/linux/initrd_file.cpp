// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/initrd_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace gpuvm {

Result<InitrdFile> InitrdFile::open(const std::string& path, const FileOpener& opener) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  UniqueFd fd = opener ? TRY(opener(path))
                       : UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    return fail_errno(ErrorKind::kConfig, "Cannot open the initrd " + path);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return fail_errno(ErrorKind::kConfig, "Cannot examine the initrd " + path);
  }
  if (!S_ISREG(info.st_mode) || info.st_size <= 0) {
    return fail(ErrorKind::kConfig,
                "The initrd {} is empty or not a regular file; give a file or no initrd", path);
  }
  return InitrdFile(path, std::move(fd), static_cast<std::uint64_t>(info.st_size));
}

Status InitrdFile::read_into(std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail_errno(ErrorKind::kConfig, "Cannot read the initrd " + path_);
    }
    if (got == 0) {
      return fail(ErrorKind::kConfig, "The initrd {} became shorter while it was read", path_);
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace gpuvm
