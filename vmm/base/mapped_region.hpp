// SPDX-License-Identifier: Apache-2.0
// MappedRegion: sole owner of an mmap. What lies in one belongs to a guest or its devices: it is in
// no core dump, and no child has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct MapRequest {
  int fd = -1;                  ///< -1: anonymous
  std::uint64_t offset = 0;     ///< page aligned
  std::uint64_t size = 0;       ///< bytes, a multiple of the page size
  std::uint64_t alignment = 0;  ///< of the virtual address; a power of two, 0 for a page
  bool writable = true;
  bool shared = true;
};

class MappedRegion {
 public:
  /// Maps as asked. An alignment above a page makes huge page faults possible (VFIO BARs, memfd).
  /// Errors: kHost with errno's text.
  static Result<MappedRegion> create(const MapRequest& request);

  MappedRegion() = default;
  MappedRegion(MappedRegion&& other) noexcept;
  MappedRegion& operator=(MappedRegion&& other) noexcept;
  MappedRegion(const MappedRegion&) = delete;
  MappedRegion& operator=(const MappedRegion&) = delete;
  ~MappedRegion();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  MappedRegion(std::byte* data, std::size_t size) : data_(data), size_(size) {}
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gpuvm
