// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/kernel_relocations.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kPlaceSize = 4;
/// arch/x86/include/asm/page_64_types.h: where physical address 0 is in the kernel's own mapping.
constexpr std::uint64_t kStartKernelMap = 0xffffffff80000000;
/// 64-bit values, per-CPU ones, 32-bit values.
constexpr std::size_t kListsMax = 3;

/// The virtual address that a place stands for.
constexpr std::uint64_t address_of(std::uint32_t place) {
  return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(place)});
}

Status relocate(std::span<std::byte> image, const std::vector<std::uint32_t>& places,
                std::size_t width, std::uint64_t linked_at, std::uint64_t distance,
                const std::string& path) {
  for (const std::uint32_t place : places) {
    const std::uint64_t offset = address_of(place) - kStartKernelMap - linked_at;  // may wrap
    if (offset > image.size() || width > image.size() - offset) {
      return fail(ErrorKind::kConfig,
                  "{} is damaged: a relocation for {:#x} lies outside the kernel; install it again",
                  path, address_of(place));
    }
    const auto value = image.subspan(offset, width);
    store_le(value, load_le(value) + distance);
  }
  return {};
}

}  // namespace

Result<KernelRelocations> read_kernel_relocations(std::span<const std::byte> bytes,
                                                  const std::string& path) {
  if (bytes.empty()) {
    return KernelRelocations{};
  }
  std::array<std::vector<std::uint32_t>, kListsMax> lists;
  std::size_t count = 0;
  bool is_good = bytes.size() % kPlaceSize == 0;
  for (; is_good && !bytes.empty(); bytes = bytes.subspan(kPlaceSize)) {
    const auto place = static_cast<std::uint32_t>(load_le(bytes.first(kPlaceSize)));
    if (place == 0 && count < kListsMax) {
      ++count;
    } else if (place != 0 && count > 0) {
      lists[count - 1].push_back(place);
    } else {
      is_good = false;
    }
  }
  if (!is_good || count < 2) {
    return fail(ErrorKind::kConfig,
                "{} has relocations after its kernel that are not two or three lists of places; "
                "remove decompress = \"host\"",
                path);
  }
  KernelRelocations relocations;
  relocations.add_64 = std::move(lists[0]);
  relocations.add_32 = std::move(lists[count - 1]);
  if (count == kListsMax) {
    relocations.subtract_32 = std::move(lists[1]);
  }
  return relocations;
}

Status relocate_kernel(std::span<std::byte> image, const KernelRelocations& relocations,
                       std::uint64_t linked_at, std::uint64_t distance, const std::string& path) {
  TRY(relocate(image, relocations.add_64, 8, linked_at, distance, path));
  TRY(relocate(image, relocations.subtract_32, 4, linked_at, ~distance + 1, path));
  return relocate(image, relocations.add_32, 4, linked_at, distance, path);
}

}  // namespace gpuvm
