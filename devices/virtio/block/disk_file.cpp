// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/disk_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <string_view>
#include <system_error>
#include <vector>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kSector = 512;

Error open_error(const std::string& path, bool read_only, int number) {
  const auto reason = std::generic_category().message(number);
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return fail(ErrorKind::kConfig,
                  "There is no {}: correct the path, or make an image (truncate -s 8G FILE)", path);
    case EISDIR:
      return fail(ErrorKind::kConfig, "{} is a directory: name a raw image file or a block device",
                  path);
    case EBUSY:
      return fail(
          ErrorKind::kHost,
          "{} is in use by the host, mounted perhaps: free it first, or set readonly = true", path);
    case EACCES:
    case EPERM:
    case EROFS:
      if (!read_only) {
        return fail(
            ErrorKind::kConfig,
            "Cannot open {} for writing: {}; change its permissions, or set readonly = true", path,
            reason);
      }
      [[fallthrough]];
    default:
      return fail(ErrorKind::kConfig, "Cannot open {}: {}", path, reason);
  }
}

/// Drops what a short transfer has done.
void advance(std::vector<iovec>& pieces, std::size_t done) {
  std::size_t gone = 0;
  while (gone < pieces.size() && done >= pieces[gone].iov_len) {
    done -= pieces[gone++].iov_len;
  }
  pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(gone));
  if (done > 0) {
    pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + done;
    pieces.front().iov_len -= done;
  }
}

}  // namespace

Result<std::unique_ptr<DiskFile>> DiskFile::open(const Options& options) {
  struct stat status {};
  if (::stat(options.path.c_str(), &status) != 0) {
    return open_error(options.path, options.read_only, errno);
  }
  // O_EXCL on a block device: the kernel refuses one that is mounted or claimed (open(2)).
  const bool claim = S_ISBLK(status.st_mode) && !options.read_only;
  const bool look = options.use == Use::kLook;
  // O_NONBLOCK: a FIFO does not block us here; it has no meaning for disks.
  UniqueFd fd(::open(options.path.c_str(), (options.read_only || look ? O_RDONLY : O_RDWR) |
                                               O_CLOEXEC | O_NONBLOCK | (claim ? O_EXCL : 0)));
  if (!fd || (look && !options.read_only && ::access(options.path.c_str(), W_OK) != 0)) {
    return open_error(options.path, options.read_only, errno);
  }
  std::unique_ptr<DiskFile> disk(new DiskFile(options.path, std::move(fd)));
  disk->geometry_.read_only = options.read_only;
  TRY(disk->measure());
  TRY(disk->lock(look));
  TRY(disk->check_format());
  return disk;
}

Status DiskFile::measure() {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine " + path_);
  }
  if (S_ISREG(status.st_mode)) {
    geometry_.size = static_cast<std::uint64_t>(status.st_size);
  } else if (S_ISBLK(status.st_mode)) {
    int block_size = 0;
    if (::ioctl(fd_.get(), BLKGETSIZE64, &geometry_.size) != 0 ||
        ::ioctl(fd_.get(), BLKSSZGET, &block_size) != 0) {
      return fail_errno(ErrorKind::kHost, "Cannot get the size of " + path_);
    }
    const auto blocks = static_cast<std::uint32_t>(block_size);
    geometry_.block_size = std::has_single_bit(blocks) && blocks > kSector ? blocks : kSector;
  } else {
    return open_error(path_, geometry_.read_only, EISDIR);
  }
  if (geometry_.size == 0 || geometry_.size % kSector != 0) {
    return fail(ErrorKind::kConfig,
                "{} has {} bytes: a disk has a multiple of 512, and not 0 (truncate -s SIZE FILE)",
                path_, geometry_.size);
  }
  return {};
}

Status DiskFile::lock(bool look) const {
  struct flock request {};
  request.l_type = geometry_.read_only ? F_RDLCK : F_WRLCK;
  request.l_whence = SEEK_SET;  // from 0, of length 0: all there is
  const int done = ::fcntl(fd_.get(), look ? F_OFD_GETLK : F_OFD_SETLK, &request);
  if (done == 0 && (!look || request.l_type == F_UNLCK)) {
    return {};
  }
  if (done != 0 && errno != EAGAIN && errno != EACCES) {
    return fail_errno(ErrorKind::kHost, "Cannot lock " + path_);
  }
  return fail(ErrorKind::kHost,
              "{} is in use by another guest: end that one, or give the disk to both with "
              "readonly = true",
              path_);
}

/// A guest that got the container's own bytes would ruin the image.
Status DiskFile::check_format() const {
  std::array<char, 4> start{};
  if (::pread(fd_.get(), start.data(), start.size(), 0) != static_cast<ssize_t>(start.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + path_);
  }
  if (std::string_view(start.data(), start.size()) == "QFI\xfb") {
    return fail(
        ErrorKind::kConfig,
        "{} is a qcow2 image: set format = \"qcow2\" for it if it was made by you and not by a "
        "guest; \"raw\" would give the guest the container's own bytes",
        path_);
  }
  return {};
}

Status DiskFile::transfer(Direction direction, std::uint64_t offset,
                          std::span<const iovec> pieces) const {
  std::vector<iovec> left(pieces.begin(), pieces.end());
  while (!left.empty()) {
    const auto count = static_cast<int>(std::min<std::size_t>(left.size(), IOV_MAX));
    const auto at = static_cast<off_t>(offset);
    const ssize_t done = direction == Direction::kRead
                             ? ::preadv(fd_.get(), left.data(), count, at)
                             : ::pwritev(fd_.get(), left.data(), count, at);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0) {
      return fail_errno(
          ErrorKind::kHost,
          fmt::format("Cannot {} {} at {:#x}", direction == Direction::kRead ? "read" : "write",
                      path_, offset));
    }
    if (done == 0) {
      return fail(ErrorKind::kHost, "{} ends at {:#x}: it was cut while in use", path_, offset);
    }
    offset += static_cast<std::uint64_t>(done);
    advance(left, static_cast<std::size_t>(done));
  }
  return {};
}

Status DiskFile::read(std::uint64_t offset, std::span<const iovec> pieces) {
  return transfer(Direction::kRead, offset, pieces);
}

Status DiskFile::write(std::uint64_t offset, std::span<const iovec> pieces) {
  return transfer(Direction::kWrite, offset, pieces);
}

Status DiskFile::flush() {
  if (::fdatasync(fd_.get()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot flush " + path_);
  }
  return {};
}

Status DiskFile::discard(std::uint64_t offset, std::uint64_t length) {
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) != 0 &&
      errno != EOPNOTSUPP) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot discard {} at {:#x}", path_, offset));
  }
  return {};
}

Status DiskFile::write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) {
  const int how = unmap == Unmap::kYes ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
  if (::fallocate(fd_.get(), how | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0) {
    return {};
  }
  if (errno != EOPNOTSUPP) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot zero {} at {:#x}", path_, offset));
  }
  return write_buffer_of_zeroes(offset, length);
}

Status DiskFile::write_buffer_of_zeroes(std::uint64_t offset, std::uint64_t length) const {
  std::vector<std::byte> zeroes(std::min(length, std::uint64_t{1_MiB}));
  while (length > 0) {
    const std::uint64_t count = std::min<std::uint64_t>(length, zeroes.size());
    const iovec piece{.iov_base = zeroes.data(), .iov_len = count};
    TRY(transfer(Direction::kWrite, offset, {&piece, 1}));
    offset += count;
    length -= count;
  }
  return {};
}

}  // namespace gpuvm
