// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/vars_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "vmm/base/output_file.hpp"

namespace gpuvm {
namespace {

/// All at once, and only where there is nothing.
Status make_vars(const OutputPlace& place, std::span<const std::byte> contents) {
  NewFile file = TRY(place.create(0600));
  TRY(write_output(file.fd(), {reinterpret_cast<const char*>(contents.data()), contents.size()},
                   place.path()));
  const UniqueFd made = TRY(file.take_place(NewFile::Place::kOnlyNew));
  return {};
}

}  // namespace

Result<std::unique_ptr<VarsFile>> VarsFile::open(const std::string& path) {
  // O_NONBLOCK: a FIFO must not make us wait. O_NOFOLLOW: it is written to, and whose folder it is
  // could have put a link to another guest's there.
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd) {
    const int error = errno;
    if (error == ELOOP) {
      return fail(ErrorKind::kConfig,
                  "The UEFI variables' file {} is a symbolic link, and none is followed: name its "
                  "target",
                  path);
    }
    if (error == EACCES || error == EPERM || error == EROFS) {
      return fail(ErrorKind::kConfig,
                  "The UEFI variables' file {} is read-only ({}); make it writable, or name a copy",
                  path, std::generic_category().message(error));
    }
    return fail_errno(ErrorKind::kConfig, "Cannot open the UEFI variables' file " + path, error);
  }
  std::unique_ptr<VarsFile> file(new VarsFile(path, std::move(fd)));
  TRY(file->lock());
  TRY(file->load());
  return file;
}

Result<std::unique_ptr<VarsFile>> VarsFile::create(const std::string& path,
                                                   std::span<const std::byte> contents) {
  const OutputPlace place = TRY(OutputPlace::open(path, ErrorKind::kConfig));
  // Somebody may have been faster.
  if (const auto made = make_vars(place, contents); !made && !place.is_taken()) {
    return fail(ErrorKind::kConfig, "{}", made.error().to_string());
  }
  return open(path);
}

VarsFile::~VarsFile() {
  if (!contents_.empty()) {  // else it was never ours
    sync();
  }
}

Status VarsFile::lock() {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd_.get(), F_OFD_SETLK, &whole) == 0) {
    return {};
  }
  if (errno == EAGAIN || errno == EACCES) {
    return fail(ErrorKind::kConfig,
                "The UEFI variables' file {} is in use by another guest; give each guest its own",
                path_);
  }
  return fail_errno(ErrorKind::kConfig, "Cannot lock the UEFI variables' file " + path_);
}

Status VarsFile::load() {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) {
    return fail_errno(ErrorKind::kConfig, "Cannot examine " + path_);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kConfig, "The UEFI variables' file {} is not a regular file", path_);
  }
  if (info.st_size <= 0 || static_cast<std::uint64_t>(info.st_size) > kLargest) {
    return fail(ErrorKind::kConfig,
                "The UEFI variables' file {} has {} bytes, which no variable store has", path_,
                info.st_size);
  }
  contents_.resize(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < contents_.size()) {
    const ssize_t got = ::pread(fd_.get(), contents_.data() + done, contents_.size() - done,
                                static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return fail_errno(ErrorKind::kConfig, "Cannot read " + path_, got == 0 ? EIO : errno);
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

bool VarsFile::keep(std::uint64_t offset, std::span<const std::byte> bytes) {
  ssize_t done = 0;
  do {
    done = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  } while (done < 0 && errno == EINTR);
  if (done == static_cast<ssize_t>(bytes.size())) {
    return true;
  }
  if (limit_.allow()) {
    log::error("Cannot write the UEFI variables' file {}: {}; the guest's changes are lost", path_,
               done < 0 ? std::generic_category().message(errno) : "short write");
  }
  return false;
}

void VarsFile::sync() {
  if (::fdatasync(fd_.get()) != 0) {
    log::error("Cannot write the UEFI variables' file {}: {}", path_,
               std::generic_category().message(errno));
  }
}

}  // namespace gpuvm
