// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/image_chain.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

Status measure(ImageLayer& layer) {
  struct stat status {};
  if (::fstat(layer.fd.get(), &status) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine " + layer.path);
  }
  layer.is_block_device = S_ISBLK(status.st_mode);
  if (layer.is_block_device) {
    if (::ioctl(layer.fd.get(), BLKGETSIZE64, &layer.size) != 0) {
      return fail_errno(ErrorKind::kHost, "Cannot get the size of " + layer.path);
    }
    return {};
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::kConfig, "{} is no file: name an image file or a block device",
                layer.path);
  }
  layer.size = (static_cast<std::uint64_t>(status.st_size) + 511) / 512 * 512;
  return {};
}

Result<ImageHeader> read_header(ImageLayer& layer) {
  std::vector<std::byte> start(kImageStart);
  const auto got = ::pread(layer.fd.get(), start.data(), start.size(), 0);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + layer.path);
  }
  start.resize(static_cast<std::size_t>(got));
  auto header = TRY(parse_image_header(layer.format, start, layer.path));
  if (layer.format != ImageFormat::kRaw) {
    layer.size = header.size;
  }
  return header;
}

Result<ImageLayer> open_layer(const std::string& path, ImageFormat format, bool writable) {
  ImageLayer layer;
  layer.format = format;
  // O_NONBLOCK: a FIFO does not block us here.
  layer.fd.reset(::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
  if (!layer.fd) {
    return fail_errno(ErrorKind::kConfig,
                      fmt::format("Cannot open {}{}", path, writable ? " for writing" : ""));
  }
  layer.path = path_of(layer.fd.get(), path);
  TRY(measure(layer));
  return layer;
}

/// A name with a protocol ("nbd:", "json:") is no file's.
bool has_protocol(const std::string& name) {
  const auto colon = name.find(':');
  return colon != std::string::npos && colon < name.find('/');
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
  auto layer = TRY_CONTEXT(open_layer(path, header.backing_format, false),
                           fmt::format("The backing file of {}", above.path));
  if (layer.path.compare(0, folder.size(), folder) != 0) {
    return fail(
        ErrorKind::kConfig,
        "The backing file of {} is {}, outside the image's folder: an image that comes from "
        "elsewhere could name any file of this host. Put both into one folder, and say so "
        "(qemu-img rebase -u)",
        above.path, layer.path);
  }
  return layer;
}

}  // namespace

Result<std::vector<ImageLayer>> open_image_chain(const ImageRequest& request) {
  std::vector<ImageLayer> layers;
  layers.push_back(TRY(open_layer(request.path, request.format, request.writable)));
  for (;;) {
    const auto header = TRY(read_header(layers.back()));
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
