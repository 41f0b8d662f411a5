// SPDX-License-Identifier: Apache-2.0
// Source: QEMU, docs/interop/qcow2.txt.
#include "vmm/storage/overlay.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

namespace gpuvm {
namespace {

constexpr unsigned kClusterBits = 16;
constexpr std::uint64_t kCluster = 1 << kClusterBits;
/// What an entry of the first table stands for: a cluster of entries of the second.
constexpr std::uint64_t kPerL1Entry = kCluster / 8 * kCluster;
constexpr std::uint64_t kLargest = std::uint64_t{1} << 50;

// Clusters of the new file.
constexpr std::uint64_t kRefcountTable = 1;
constexpr std::uint64_t kRefcountBlock = 2;
constexpr std::uint64_t kL1Table = 3;

void put(std::vector<std::byte>& bytes, std::size_t offset, std::size_t size, std::uint64_t value) {
  for (std::size_t i = 0; i < size; ++i) {
    bytes[offset + i] = static_cast<std::byte>(value >> 8 * (size - 1 - i));
  }
}

std::vector<std::byte> empty_image(std::uint64_t size) {
  const std::uint64_t entries = std::max<std::uint64_t>((size + kPerL1Entry - 1) / kPerL1Entry, 1);
  const std::uint64_t l1_clusters = (entries * 8 + kCluster - 1) / kCluster;
  const std::uint64_t clusters = kL1Table + l1_clusters;
  std::vector<std::byte> image(clusters * kCluster);
  put(image, 0, 4, 0x514649fb);
  put(image, 4, 4, 3);  // version
  put(image, 20, 4, kClusterBits);
  put(image, 24, 8, size);
  put(image, 36, 4, entries);
  put(image, 40, 8, kL1Table * kCluster);
  put(image, 48, 8, kRefcountTable * kCluster);
  put(image, 56, 4, 1);     // clusters of the reference counts' table
  put(image, 96, 4, 4);     // counts of 2^4 bits
  put(image, 100, 4, 104);  // length of the header
  put(image, kRefcountTable * kCluster, 8, kRefcountBlock * kCluster);
  for (std::uint64_t i = 0; i < clusters; ++i) {
    put(image, kRefcountBlock * kCluster + i * 2, 2, 1);
  }
  return image;
}

std::string folder() {
  const char* const wanted = ::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return wanted != nullptr && *wanted == '/' && ::geteuid() != 0 ? wanted : "/var/tmp";
}

Result<UniqueFd> make_file() {
  const std::string place = folder();
  UniqueFd file(::open(place.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) {
    return file;
  }
  std::string name = place + "/gpuvm-overlay-XXXXXX";  // file systems without nameless files
  file.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!file) {
    return fail_errno(ErrorKind::kHost, "Cannot make a temporary file in " + place);
  }
  ::unlink(name.c_str());
  return file;
}

}  // namespace

std::uint64_t FileSystemRoom::reserve() const {
  constexpr std::uint64_t kMost = std::uint64_t{8} << 30;
  return std::min(size / 20, kMost);
}

/// An entry of 8 bytes in a table and one of 2 in a reference count for each cluster, and the
/// tables of these, which are moved when they grow: far less than this.
std::uint64_t most_of_overlay(std::uint64_t size) {
  constexpr std::uint64_t kTables = 64 << 20;
  return size + size / 1024 + kTables;
}

OverlayLimit overlay_limit(std::uint64_t file_size, std::uint64_t most,
                           const FileSystemRoom& room) {
  const std::uint64_t growth = room.free - std::min(room.free, room.reserve());
  return {.bytes = std::min(most, file_size + growth), .is_full = growth == 0};
}

Result<OverlayLimit> overlay_limit(int file, std::uint64_t most) {
  struct stat status {};
  struct statvfs about {};
  if (::fstat(file, &status) != 0 || ::fstatvfs(file, &about) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot examine the file of a throwaway disk");
  }
  const bool is_known = about.f_blocks != 0;  // some in memory say nothing of their size
  return overlay_limit(static_cast<std::uint64_t>(status.st_size), most,
                       {.free = is_known ? about.f_bavail * about.f_frsize : most,
                        .size = about.f_blocks * about.f_frsize});
}

Result<UniqueFd> make_overlay(std::uint64_t size) {
  if (size == 0 || size > kLargest) {
    return fail(ErrorKind::kConfig, "A throwaway disk has up to 1 PiB, and not {} bytes", size);
  }
  auto file = TRY(make_file());
  const auto image = empty_image(size);
  for (std::size_t done = 0; done < image.size();) {
    const auto written =
        ::pwrite(file.get(), image.data() + done, image.size() - done, static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return fail_errno(ErrorKind::kHost, "Cannot write the file of a throwaway disk");
    }
    done += static_cast<std::size_t>(written);
  }
  return file;
}

}  // namespace gpuvm
