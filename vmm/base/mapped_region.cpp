// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/mapped_region.hpp"

#include <sys/mman.h>

#include <utility>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

/// Reserves address space large enough to hold `size` bytes at an aligned address and gives back
/// what is too much.
Result<std::byte*> reserve_aligned(std::uint64_t size, std::uint64_t alignment) {
  const std::uint64_t slack = alignment - kPageSize;
  void* raw =
      ::mmap(nullptr, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    return fail_errno(ErrorKind::kHost, "Cannot reserve address space");
  }
  auto* base = static_cast<std::byte*>(raw);
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  const std::uint64_t head = align_up(address, alignment) - address;
  if (head > 0) {
    ::munmap(base, head);
  }
  if (slack > head) {
    ::munmap(base + head + size, slack - head);
  }
  return base + head;
}

}  // namespace

Result<MappedRegion> MappedRegion::create(const MapRequest& request) {
  if (request.size == 0 || !is_aligned(request.size, kPageSize)) {
    return fail(ErrorKind::kInternal, "Mapping of {} bytes is not whole pages", request.size);
  }
  void* hint = nullptr;
  int flags = request.shared ? MAP_SHARED : MAP_PRIVATE;
  if (request.alignment > kPageSize) {
    hint = TRY(reserve_aligned(request.size, request.alignment));
    flags |= MAP_FIXED;
  }
  if (request.fd < 0) {
    flags |= MAP_ANONYMOUS;
  }
  const int protection = request.writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* raw = ::mmap(hint, request.size, protection, flags | MAP_NORESERVE, request.fd,
                     static_cast<off_t>(request.offset));
  if (raw == MAP_FAILED) {
    auto error = fail_errno(ErrorKind::kHost, fmt::format("Cannot map {} bytes", request.size));
    if (hint != nullptr) {
      ::munmap(hint, request.size);
    }
    return error;
  }
  MappedRegion region(static_cast<std::byte*>(raw), request.size);
  // A child that hangs in the kernel (vmm/host/patient_write.hpp) must not keep a guest's memory.
  static_cast<void>(::madvise(raw, request.size, MADV_DONTFORK));
  // Shared memory without a name in a file system is in core dumps by default (core(5), bit 1).
  if (::madvise(raw, request.size, MADV_DONTDUMP) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot keep {} bytes out of core dumps", request.size));
  }
  return region;
}

MappedRegion::MappedRegion(MappedRegion&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedRegion& MappedRegion::operator=(MappedRegion&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedRegion::~MappedRegion() {
  if (data_ != nullptr) {
    ::munmap(data_, size_);
  }
}

}  // namespace gpuvm
