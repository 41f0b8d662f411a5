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

#include "devices/virtio/block/disk_format.hpp"
#include "vmm/base/log.hpp"
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
                  "There is no {}: correct the path, or make an image (scripts/make-image one with "
                  "a Debian system, truncate -s 8G FILE an empty one)",
                  path);
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
  // Found, judged, and only then opened, whatever the path names by then: a FIFO or a device that
  // is no disk would notice it.
  const UniqueFd found(::open(options.path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (!found || ::fstat(found.get(), &status) != 0) {
    return open_error(options.path, options.read_only, errno);
  }
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return open_error(options.path, options.read_only, EISDIR);
  }
  const std::string file = fmt::format("/proc/self/fd/{}", found.get());
  // O_EXCL on a block device: the kernel refuses one that is mounted or claimed (open(2)).
  const bool claim = S_ISBLK(status.st_mode) && !options.read_only;
  const bool look = options.use == Use::kLook;
  // O_NONBLOCK: nobody's lease on it makes us wait.
  UniqueFd fd(::open(file.c_str(), (options.read_only || look ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                       O_NONBLOCK | (claim ? O_EXCL : 0)));
  if (!fd || (look && !options.read_only && ::access(file.c_str(), W_OK) != 0)) {
    return open_error(options.path, options.read_only, errno);
  }
  std::unique_ptr<DiskFile> disk(new DiskFile(options, std::move(fd)));
  disk->geometry_.read_only = options.read_only;
  disk->geometry_.discard = options.discard;
  TRY(disk->measure());
  TRY(disk->lock(look));
  TRY(disk->check_contents());
  if (options.cache == Cache::kNone && !look) {
    disk->open_direct();
  }
  return disk;
}

/// The guest is not told of an alignment above its sectors: a partition table that was made for 512
/// bytes would not fit any more. By what the kernel says of alignment (statx(2), STATX_DIOALIGN),
/// else as careful as any file or device wants it. A file system without O_DIRECT, such as an old
/// tmpfs, leaves the page cache.
void DiskFile::open_direct() {
  direct_.reset(::open(fmt::format("/proc/self/fd/{}", fd_.get()).c_str(),
                       (options_.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_DIRECT));
  constexpr std::uint32_t kCareful = 4096;
  memory_alignment_ = kCareful;
  offset_alignment_ = is_device_ ? geometry_.block_size : kCareful;
#ifdef STATX_DIOALIGN
  struct statx about {};
  if (direct_ && ::statx(direct_.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0 &&
      (about.stx_mask & STATX_DIOALIGN) != 0) {
    if (about.stx_dio_offset_align == 0) {
      direct_.reset();
      return;
    }
    memory_alignment_ = about.stx_dio_mem_align;
    offset_alignment_ = about.stx_dio_offset_align;
  }
#endif
}

Status DiskFile::measure() {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine " + options_.path);
  }
  if (S_ISREG(status.st_mode)) {
    geometry_.size = static_cast<std::uint64_t>(status.st_size);
  } else if (S_ISBLK(status.st_mode)) {
    int block_size = 0;
    if (::ioctl(fd_.get(), BLKGETSIZE64, &geometry_.size) != 0 ||
        ::ioctl(fd_.get(), BLKSSZGET, &block_size) != 0) {
      return fail_errno(ErrorKind::kHost, "Cannot get the size of " + options_.path);
    }
    const auto blocks = static_cast<std::uint32_t>(block_size);
    is_device_ = true;
    geometry_.block_size = std::has_single_bit(blocks) && blocks > kSector ? blocks : kSector;
  } else {
    return open_error(options_.path, geometry_.read_only, EISDIR);
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
    return fail_errno(ErrorKind::kHost, "Cannot lock " + options_.path);
  }
  return fail(ErrorKind::kHost,
              "{} is in use by another guest: end that one, or give the disk to both with "
              "readonly = true",
              options_.path);
}

/// The format first: a guest that got the container's own bytes would ruin the image, and a file of
/// another format may have any size.
Status DiskFile::check_contents() const {
  std::array<char, kFormatProbe> start{};
  const ssize_t got = ::pread(fd_.get(), start.data(), start.size(), 0);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + options_.path);
  }
  const auto format = container_format({start.data(), static_cast<std::size_t>(got)});
  if (!format.empty()) {
    return fail(ErrorKind::kConfig,
                "{} is a {} image, and \"raw\" would give the guest the container's own bytes: set "
                "format = \"{}\", unless a guest wrote them (then wipe its first sector)",
                options_.path, format, format);
  }
  if (geometry_.size == 0 || geometry_.size % kSector != 0) {
    return fail(ErrorKind::kConfig,
                "{} has {} bytes: a disk has a multiple of 512, and not 0 (truncate -s SIZE FILE)",
                options_.path, geometry_.size);
  }
  return {};
}

int DiskFile::descriptor_for(std::uint64_t offset, std::span<const iovec> pieces) const {
  if (!direct_) {
    return fd_.get();
  }
  const auto is_good = [this](const iovec& piece) {
    return reinterpret_cast<std::uintptr_t>(piece.iov_base) % memory_alignment_ == 0 &&
           piece.iov_len % offset_alignment_ == 0;
  };
  if (offset % offset_alignment_ == 0 && std::all_of(pieces.begin(), pieces.end(), is_good)) {
    return direct_.get();
  }
  unaligned_.fetch_add(1, std::memory_order_relaxed);
  return fd_.get();
}

Error DiskFile::error_of(const DiskOperation& operation, int number) const {
  constexpr std::array<std::string_view, 5> kVerbs = {"read", "write", "flush", "discard", "zero"};
  return fail_errno(
      ErrorKind::kHost,
      fmt::format("Cannot {} {} at {:#x}", kVerbs.at(static_cast<std::size_t>(operation.kind)),
                  options_.path, operation.offset),
      number);
}

Status DiskFile::transfer(Direction direction, std::uint64_t offset,
                          std::vector<iovec> left) const {
  while (!left.empty()) {
    const auto count = static_cast<int>(std::min<std::size_t>(left.size(), IOV_MAX));
    const auto at = static_cast<off_t>(offset);
    const int fd = descriptor_for(offset, left);
    const ssize_t done = direction == Direction::kRead ? ::preadv(fd, left.data(), count, at)
                                                       : ::pwritev(fd, left.data(), count, at);
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0) {
      return error_of({.kind = direction == Direction::kRead ? DiskOperation::Kind::kRead
                                                             : DiskOperation::Kind::kWrite,
                       .offset = offset},
                      errno);
    }
    if (done == 0) {
      return fail(ErrorKind::kHost, "{} ends at {:#x}: it was cut while in use", options_.path,
                  offset);
    }
    offset += static_cast<std::uint64_t>(done);
    advance(left, static_cast<std::size_t>(done));
  }
  return {};
}

Status DiskFile::read(std::uint64_t offset, std::span<const iovec> pieces) {
  return transfer(Direction::kRead, offset, {pieces.begin(), pieces.end()});
}

Status DiskFile::write(std::uint64_t offset, std::span<const iovec> pieces) {
  return transfer(Direction::kWrite, offset, {pieces.begin(), pieces.end()});
}

Status DiskFile::flush() {
  if (options_.cache != Cache::kUnsafe && ::fdatasync(fd_.get()) != 0) {
    return error_of({}, errno);
  }
  return {};
}

Status DiskFile::discard(std::uint64_t offset, std::uint64_t length) {
  int done = 0;
  if (is_device_) {
    std::array<std::uint64_t, 2> range = {offset, length};
    done = ::ioctl(fd_.get(), BLKDISCARD, range.data());
  } else {
    done = ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset), static_cast<off_t>(length));
  }
  if (done != 0 && errno != EOPNOTSUPP) {
    return error_of({.kind = DiskOperation::Kind::kDiscard, .offset = offset}, errno);
  }
  return {};
}

int DiskFile::zero_mode(Unmap unmap) const {
  const bool hole = unmap == Unmap::kYes && options_.discard;
  return FALLOC_FL_KEEP_SIZE | (hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

Status DiskFile::write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) {
  if (::fallocate(fd_.get(), zero_mode(unmap), static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0) {
    return {};
  }
  return settle({.kind = DiskOperation::Kind::kWriteZeroes,
                 .offset = offset,
                 .length = length,
                 .unmap = unmap},
                -errno);
}

Status DiskFile::write_buffer_of_zeroes(std::uint64_t offset, std::uint64_t length) const {
  std::vector<std::byte> zeroes(std::min(length, std::uint64_t{1_MiB}));
  while (length > 0) {
    const std::uint64_t count = std::min<std::uint64_t>(length, zeroes.size());
    TRY(transfer(Direction::kWrite, offset, {{.iov_base = zeroes.data(), .iov_len = count}}));
    offset += count;
    length -= count;
  }
  return {};
}

std::unique_ptr<DiskQueue> DiskFile::make_queue(unsigned entries) {
  if (!options_.uring) {
    return nullptr;
  }
  auto queue = UringQueue::create(*this, entries);
  if (!queue) {
    log::debug("{}: {}; requests are carried out one after the other in each queue", options_.path,
               queue.error().to_string());
    engine_ = "threads: " + queue.error().message();
    return nullptr;
  }
  engine_ = "io_uring";
  return std::move(queue).value();
}

UringTarget DiskFile::target_of(const DiskOperation& operation) const {
  switch (operation.kind) {
    case DiskOperation::Kind::kRead:
    case DiskOperation::Kind::kWrite:
      return {.fd = descriptor_for(operation.offset, operation.pieces)};
    case DiskOperation::Kind::kFlush:
      return {.fd = options_.cache == Cache::kUnsafe ? -1 : fd_.get()};
    case DiskOperation::Kind::kDiscard:
      return {.fd = is_device_ ? -1 : fd_.get(),
              .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    case DiskOperation::Kind::kWriteZeroes:
      return {.fd = fd_.get(), .mode = zero_mode(operation.unmap)};
  }
  return {};
}

/// Also what was interrupted, or cancelled because a thread ended: it is done again.
Status DiskFile::settle(const DiskOperation& operation, int result) {
  const bool again = result == -EINTR || result == -EAGAIN || result == -ECANCELED;
  switch (operation.kind) {
    case DiskOperation::Kind::kRead:
    case DiskOperation::Kind::kWrite:
      if (result >= 0 || again) {
        return finish_transfer(operation, static_cast<std::uint64_t>(std::max(result, 0)));
      }
      break;
    case DiskOperation::Kind::kWriteZeroes:
      // EINVAL: a device whose blocks are larger than what is to be zeroed.
      if (result == -EOPNOTSUPP || result == -EINVAL || again) {
        return write_buffer_of_zeroes(operation.offset, operation.length);
      }
      break;
    case DiskOperation::Kind::kFlush:
    case DiskOperation::Kind::kDiscard:
      if (again) {
        return carry_out(operation);
      }
      break;
  }
  if (result >= 0 || (operation.kind == DiskOperation::Kind::kDiscard && result == -EOPNOTSUPP)) {
    return {};
  }
  return error_of(operation, -result);
}

Status DiskFile::finish_transfer(const DiskOperation& operation, std::uint64_t done) const {
  if (done >= operation.length) {
    return {};
  }
  std::vector<iovec> left(operation.pieces.begin(), operation.pieces.end());
  advance(left, done);
  return transfer(
      operation.kind == DiskOperation::Kind::kRead ? Direction::kRead : Direction::kWrite,
      operation.offset + done, std::move(left));
}

/// A write to the page cache is a copy, and io_uring has a thread of the kernel make it.
bool DiskFile::is_quick(const DiskOperation& operation) const {
  return operation.kind == DiskOperation::Kind::kWrite && !direct_ && operation.length <= 64_KiB;
}

std::uint64_t DiskFile::current_size() {
  std::uint64_t size = 0;
  struct stat status {};
  if (is_device_) {
    if (::ioctl(fd_.get(), BLKGETSIZE64, &size) != 0) {
      return geometry_.size;
    }
  } else if (::fstat(fd_.get(), &status) == 0) {
    size = static_cast<std::uint64_t>(status.st_size);
  }
  return size / kSector * kSector;
}

std::vector<std::pair<std::string, std::string>> DiskFile::describe() const {
  std::string cache = "writeback";
  if (options_.cache == Cache::kUnsafe) {
    cache = "unsafe";
  } else if (options_.cache == Cache::kNone) {
    cache = direct_ ? "none" : "writeback: the file system has no O_DIRECT";
  }
  return {{"path", options_.path},
          {"engine", engine_},
          {"cache", cache},
          {"unaligned", std::to_string(unaligned_.load(std::memory_order_relaxed))}};
}

}  // namespace gpuvm
