// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/image_chain.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

namespace gpuvm {
namespace {

/// More layers than anybody stacks, and fewer than descriptors that a program is given.
constexpr std::size_t kMostLayers = 12;

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

/// Where a descriptor's file is: not what somebody calls it.
std::string path_of(int fd, const std::string& fallback) {
  std::array<char, PATH_MAX> text{};
  const auto size =
      ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : fallback;
}

/// What a path names: found, not opened (O_PATH). An image may name anything, and a FIFO, a tape or
/// a watchdog would notice that somebody opens it.
struct Located {
  UniqueFd fd;
  std::string path;  ///< where the kernel says that it is
  struct stat status {};
};

/// Files of the kernel's own have the type of regular ones, and reading them may do anything.
bool is_of_kernel(int fd) {
  struct statfs file_system {};
  return ::fstatfs(fd, &file_system) == 0 &&
         (file_system.f_type == PROC_SUPER_MAGIC || file_system.f_type == SYSFS_MAGIC ||
          file_system.f_type == DEBUGFS_MAGIC || file_system.f_type == TRACEFS_MAGIC);
}

Result<Located> locate(const std::string& path) {
  Located found;
  found.fd.reset(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!found.fd) {
    return fail_errno(ErrorKind::kConfig, "Cannot open " + path);
  }
  found.path = path_of(found.fd.get(), path);
  if (::fstat(found.fd.get(), &found.status) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine " + found.path);
  }
  const bool is_file = S_ISREG(found.status.st_mode) && !is_of_kernel(found.fd.get());
  if (!is_file && !S_ISBLK(found.status.st_mode)) {
    return fail(ErrorKind::kConfig, "{} is no file: name an image file or a block device",
                found.path);
  }
  return found;
}

Status measure(ImageLayer& layer) {
  struct stat status {};
  if (::fstat(layer.fd.get(), &status) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine " + layer.path);
  }
  layer.is_block_device = S_ISBLK(status.st_mode);
  layer.size = (static_cast<std::uint64_t>(status.st_size) + 511) / 512 * 512;
  if (layer.is_block_device && ::ioctl(layer.fd.get(), BLKGETSIZE64, &layer.size) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot get the size of " + layer.path);
  }
  return {};
}

/// `is_first`: the user says what it is, and not an image above it.
Result<ImageHeader> read_header(ImageLayer& layer, bool is_first) {
  std::vector<std::byte> start(kImageStart);
  const auto got = ::pread(layer.fd.get(), start.data(), start.size(), 0);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + layer.path);
  }
  start.resize(static_cast<std::size_t>(got));
  if (is_first && layer.format == ImageFormat::kRaw) {
    TRY(check_is_raw(start, layer.path));
  }
  auto header = TRY(parse_image_header(layer.format, start, layer.path));
  if (layer.format != ImageFormat::kRaw) {
    layer.size = header.size;
  }
  return header;
}

/// The very file that was judged, whatever its path names by now.
Result<ImageLayer> open_layer(const Located& found, ImageFormat format, bool writable) {
  ImageLayer layer;
  layer.format = format;
  layer.path = found.path;
  // O_NONBLOCK: nobody's lease on it makes us wait.
  layer.fd.reset(::open(fmt::format("/proc/self/fd/{}", found.fd.get()).c_str(),
                        (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
  if (!layer.fd) {
    return fail_errno(ErrorKind::kConfig,
                      fmt::format("Cannot open {}{}", found.path, writable ? " for writing" : ""));
  }
  TRY(measure(layer));
  return layer;
}

/// A name with a protocol ("nbd:", "json:") is no file's.
bool has_protocol(const std::string& name) {
  const auto colon = name.find(':');
  return colon != std::string::npos && colon < name.find('/');
}

/// Below an image in /dev lie all of the host's disks, and below one in / lies everything.
bool is_too_wide(const std::string& folder) {
  return folder == "/" || folder == "/dev/";
}

Status judge_backing(const ImageLayer& above, const Located& found) {
  const std::string folder = folder_of(above.path);
  if (S_ISBLK(found.status.st_mode)) {
    return fail(ErrorKind::kConfig,
                "The backing file of {} is {}, a block device: only files can be: make one image "
                "of both (qemu-img convert -O qcow2 OLD NEW)",
                above.path, found.path);
  }
  if (is_too_wide(folder)) {
    return fail(ErrorKind::kConfig,
                "{} has a backing file and lies in {}, where it could name any file of this host: "
                "put both into a folder of their own",
                above.path, folder);
  }
  if (found.path.compare(0, folder.size(), folder) != 0) {
    return fail(
        ErrorKind::kConfig,
        "The backing file of {} is {}, outside the image's folder: an image that comes from "
        "elsewhere could name any file of this host. Put both into one folder, and say so "
        "(qemu-img rebase -u)",
        above.path, found.path);
  }
  return {};
}

Result<ImageLayer> open_backing(const ImageLayer& above, const ImageHeader& header) {
  if (has_protocol(header.backing)) {
    return fail(ErrorKind::kConfig,
                "The backing file of {} is {}, which is no file of this host: make one image of "
                "both (qemu-img convert -O qcow2 OLD NEW)",
                above.path, header.backing);
  }
  const std::string folder = folder_of(above.path);
  const std::string path = header.backing.front() == '/' ? header.backing : folder + header.backing;
  const auto context = fmt::format("The backing file of {}", above.path);
  const auto found = TRY_CONTEXT(locate(path), context);
  TRY(judge_backing(above, found));
  return TRY_CONTEXT(open_layer(found, header.backing_format, false), context);
}

}  // namespace

Result<std::vector<ImageLayer>> open_image_chain(const ImageRequest& request) {
  if (::access(request.path.c_str(), F_OK) != 0 && errno == ENOENT) {
    return fail(
        ErrorKind::kConfig,
        "There is no {}: correct the path, or make an image (scripts/make-image a raw one with "
        "a Debian system, qemu-img create -f qcow2 FILE 8G an empty one)",
        request.path);
  }
  std::vector<ImageLayer> layers;
  layers.push_back(TRY(open_layer(TRY(locate(request.path)), request.format, request.writable)));
  for (;;) {
    const auto header = TRY(read_header(layers.back(), layers.size() == 1));
    if (header.backing.empty()) {
      return layers;
    }
    if (layers.size() == kMostLayers) {
      return fail(ErrorKind::kConfig,
                  "{} has more than {} images below it, or itself: make fewer of them (qemu-img "
                  "convert)",
                  request.path, kMostLayers - 1);
    }
    layers.push_back(TRY(open_backing(layers.back(), header)));
  }
}

}  // namespace gpuvm
