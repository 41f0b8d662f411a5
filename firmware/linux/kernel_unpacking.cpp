// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_unpacking.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "firmware/linux/kernel_elf.hpp"
#include "firmware/linux/kernel_relocations.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

/// An unpacked file becomes a kernel, in its place.
class Unpacking {
 public:
  /// `place` has init_size bytes.
  Unpacking(const LinuxImage& image, std::span<std::byte> place) : image_(image), place_(place) {}

  Status unpack();
  Status move_segments();
  Result<bool> relocate(const KernelChoice& choice);
  std::uint64_t entry_offset() const { return entry_offset_; }

 private:
  std::uint64_t linked_at() const { return image_.header().pref_address; }
  Status read_relocations(std::uint64_t file_size);
  Result<std::uint64_t> offset_of(const KernelSegment& segment) const;

  const LinuxImage& image_;
  const std::span<std::byte> place_;
  std::vector<KernelSegment> segments_;
  KernelRelocations relocations_;
  std::uint64_t entry_offset_ = 0;
};

Status Unpacking::unpack() {
  const auto& payload = *image_.payload();
  const std::uint64_t size = payload.unpacked_size();
  if (size > place_.size()) {
    return fail(ErrorKind::kConfig, "{} becomes {} bytes, more than its init_size of {}",
                image_.path(), size, place_.size());
  }
  if (const auto ready = image_.unpacked(); ready.size() == size) {
    std::copy(ready.begin(), ready.end(), place_.begin());
  } else {
    TRY(payload.unpack(place_.first(size), image_.path()));
  }
  auto elf = TRY(parse_kernel_elf(place_.first(size), image_.path()));
  if (elf.entry.value() < linked_at() || elf.entry.value() - linked_at() >= place_.size()) {
    return fail(ErrorKind::kConfig, "{} starts at {:#x}, outside its init_size", image_.path(),
                elf.entry.value());
  }
  entry_offset_ = elf.entry.value() - linked_at();
  segments_ = std::move(elf.segments);
  return read_relocations(size);
}

/// They lie behind the last table of the ELF file, that of its sections.
Status Unpacking::read_relocations(std::uint64_t file_size) {
  const auto header = load_at<Elf64_Ehdr>(place_, 0);
  const std::uint64_t tables = header ? std::uint64_t{header->e_shnum} * header->e_shentsize : 0;
  if (!header || header->e_shoff > file_size || tables > file_size - header->e_shoff) {
    return fail(ErrorKind::kConfig, "{} is cut off: its sections' headers end past its {} bytes",
                image_.path(), file_size);
  }
  if (header->e_shoff == 0) {
    return {};
  }
  const std::uint64_t end = header->e_shoff + tables;
  relocations_ = TRY(read_kernel_relocations(place_.subspan(end, file_size - end), image_.path()));
  return {};
}

Result<std::uint64_t> Unpacking::offset_of(const KernelSegment& segment) const {
  const std::uint64_t at = segment.range.base().value();
  if (at < linked_at() || !is_inside(0, place_.size(), at - linked_at(), segment.range.size())) {
    return fail(ErrorKind::kConfig, "{} has a segment for {:#x}, outside its init_size",
                image_.path(), at);
  }
  return at - linked_at();
}

/// Downwards, in the order of addresses: none lands on one that is still to be moved.
Status Unpacking::move_segments() {
  std::uint64_t end = 0;
  for (const auto& segment : segments_) {
    const std::uint64_t offset = TRY(offset_of(segment));
    const auto from = static_cast<std::uint64_t>(segment.content.data() - place_.data());
    if (from < offset || from < end) {
      return fail(ErrorKind::kConfig,
                  "{} has a segment that begins at {:#x} of its file, before its place at {:#x}; "
                  "remove decompress = \"host\"",
                  image_.path(), from, offset);
    }
    std::memmove(place_.data() + offset, segment.content.data(), segment.content.size());
    end = offset + segment.content.size();
  }
  for (const auto& segment : segments_) {
    const std::uint64_t offset = TRY(offset_of(segment));
    const auto rest = place_.subspan(offset, segment.range.size()).subspan(segment.content.size());
    std::fill(rest.begin(), rest.end(), std::byte{0});
  }
  return {};
}

/// Whether its virtual addresses are random now.
Result<bool> Unpacking::relocate(const KernelChoice& choice) {
  if (relocations_.empty() || !may_move(choice)) {
    return false;
  }
  const std::uint64_t distance = TRY(choose_kernel_distance(choice));
  TRY(relocate_kernel(place_, relocations_, linked_at(), distance, image_.path()));
  return true;
}

}  // namespace

Result<UnpackedKernel> unpack_kernel(const GuestMemory& memory, const LinuxImage& image,
                                     const KernelChoice& choice) {
  const GuestAddress base = TRY(choose_kernel_base(choice));
  const auto range = GuestRange::create(base, image.header().init_size);
  const auto place = range ? memory.slice(base, range->size()) : std::nullopt;
  if (!place || !image.payload()) {
    return fail(ErrorKind::kInternal, "The kernel {} was placed outside memory", image.path());
  }
  Unpacking unpacking(image, *place);
  TRY(unpacking.unpack());
  TRY(unpacking.move_segments());
  const bool is_randomised = TRY(unpacking.relocate(choice));
  return UnpackedKernel{
      .entry = base + unpacking.entry_offset(), .range = *range, .is_randomised = is_randomised};
}

}  // namespace gpuvm
