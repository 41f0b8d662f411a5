// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/linux_image.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "firmware/linux/setup_header.hpp"
#include "vmm/base/file.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kFileMax = 2_GiB;  // a vmlinux with debug information has up to 1 GiB
constexpr std::size_t kReleaseMax = 127;
constexpr std::uint64_t kMostUnpackedAhead = 256_MiB;

GuestRange hull(GuestRange a, GuestRange b) {
  const GuestAddress first = std::min(a.base(), b.base());
  const GuestAddress last = std::max(a.last(), b.last());
  return *GuestRange::create(first, last - first + 1);
}

GuestRange init_range(const ::setup_header& header) {
  return *GuestRange::create(GuestAddress(header.pref_address), header.init_size);
}

}  // namespace

Result<LinuxImage> LinuxImage::load(const std::string& path, const FileOpener& open) {
  return parse(
      TRY_CONTEXT(read_file(path, kFileMax, ErrorKind::kConfig, open), "Loading the kernel"), path);
}

Result<LinuxImage> LinuxImage::parse(std::vector<std::byte> bytes, std::string path) {
  LinuxImage image(std::move(bytes), std::move(path));
  if (is_elf(image.file_)) {
    TRY_CONTEXT(image.take_vmlinux(), "Loading the kernel");
  } else {
    TRY_CONTEXT(image.take_bzimage(), "Loading the kernel");
  }
  return image;
}

Status LinuxImage::take_vmlinux() {
  auto elf = TRY(parse_kernel_elf(file_, path_));
  header_ = boot_protocol::made_up_header();
  range_ = hull(elf.segments.front().range, elf.segments.back().range);
  header_.pref_address = range_.base().value();
  header_.init_size = static_cast<std::uint32_t>(range_.size());  // segments end below 4 GiB
  entry_ = elf.entry;
  segments_ = std::move(elf.segments);
  return {};
}

/// boot.rst, "64-bit Boot Protocol": the code goes to pref_address, its entry is at + 0x200.
Status LinuxImage::take_bzimage() {
  header_ = TRY(boot_protocol::read_setup_header(file_, path_));
  bzimage_ = true;
  read_release();
  const auto code = TRY(boot_protocol::protected_mode_code(file_, header_, path_));
  payload_ = KernelPayload::recognise(TRY(boot_protocol::payload_of(code, header_, path_)));
  range_ = init_range(header_);
  entry_ = range_.base() + boot_protocol::kEntry64Offset;
  segments_ = {{*GuestRange::create(range_.base(), code.size()), code}};
  return {};
}

Status LinuxImage::unpack_ahead() {
  const std::uint64_t size = payload_ ? payload_->unpacked_size() : 0;
  if (size == 0 || size > kMostUnpackedAhead || size > header_.init_size) {
    return {};
  }
  // Not zeroed: every byte is written. Without memory the loader unpacks it in its place.
  std::unique_ptr<std::byte[]> bytes(new (std::nothrow) std::byte[size]);
  if (!bytes) {
    return {};
  }
  TRY(payload_->unpack({bytes.get(), size}, path_));
  unpacked_ = std::move(bytes);
  unpacked_size_ = size;
  return {};
}

/// kernel_version points, less 0x200, to a NUL-terminated text in the setup sectors.
void LinuxImage::read_release() {
  if (header_.kernel_version == 0) {
    return;
  }
  const std::size_t start = std::size_t{header_.kernel_version} + 0x200;
  for (std::size_t i = start; i < file_.size() && release_.size() < kReleaseMax; ++i) {
    const auto character = static_cast<unsigned char>(file_[i]);
    if (character < 0x20 || character > 0x7e) {  // the file is not trusted with our terminal
      return;
    }
    release_ += static_cast<char>(character);
  }
}

void LinuxImage::inspect(InspectNode& node) const {
  node.field("path", path_);
  node.field("format", bzimage_ ? "bzImage" : "vmlinux");
  if (payload_) {
    node.field("payload", to_string(payload_->format()));
  }
  node.field("release", release_);
  node.field("boot_protocol", boot_protocol::version_text(header_.version));
  node.hex("entry", entry_.value());
  node.hex("load_address", range_.base().value());
  node.field("size_in_memory", range_.size());
  node.field("command_line_max", command_line_max());
}

}  // namespace gpuvm
