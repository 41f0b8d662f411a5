// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/pool.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint64_t kUnit = 16;
constexpr std::uint64_t kChunkPages = 16;
constexpr std::uint64_t kLargeSize = 4 * kEfiPageSize;  // from here on: pages of its own

constexpr std::uint32_t kUsed = 0x55504647;       // "GFPU"
constexpr std::uint32_t kUsedPages = 0x50504647;  // "GFPP"
constexpr std::uint32_t kFree = 0x46504647;       // "GFPF"

}  // namespace

/// Stands before the memory that it describes.
struct PoolAllocator::Piece {
  std::uint32_t state = kFree;
  std::uint32_t type = 0;
  std::uint64_t size = 0;  ///< of what follows the header, in bytes
  Piece* next = nullptr;   ///< in the list of free pieces
  std::uint64_t padding = 0;

  void* memory() { return this + 1; }
};

EfiStatus PoolAllocator::allocate(MemoryType type, std::uint64_t size, void*& buffer) {
  static_assert(sizeof(Piece) % kUnit == 0);
  if (size >= kLargeSize) {
    return allocate_large(type, size, buffer);
  }
  const std::uint64_t rounded = size == 0 ? kUnit : (size + kUnit - 1) & ~(kUnit - 1);
  Piece* piece = take(type, rounded);
  if (piece == nullptr) {
    const EfiStatus status = add_chunk(type);
    if (status != EfiStatus::kSuccess) {
      return status;
    }
    piece = take(type, rounded);
  }
  piece->state = kUsed;
  buffer = piece->memory();
  return EfiStatus::kSuccess;
}

EfiStatus PoolAllocator::allocate_large(MemoryType type, std::uint64_t size, void*& buffer) {
  if (size > ~std::uint64_t{0} - 2 * kEfiPageSize) {
    return EfiStatus::kOutOfResources;
  }
  std::uint64_t address = 0;
  const std::uint64_t pages = (size + sizeof(Piece) + kEfiPageSize - 1) >> kEfiPageShift;
  const EfiStatus status = map_.allocate(AllocateType::kAnyPages, type, pages, address);
  if (status != EfiStatus::kSuccess) {
    return status;
  }
  auto* piece = reinterpret_cast<Piece*>(address);  // pages of ours, aligned
  *piece = {.state = kUsedPages, .type = static_cast<std::uint32_t>(type), .size = pages};
  buffer = piece->memory();
  return EfiStatus::kSuccess;
}

EfiStatus PoolAllocator::add_chunk(MemoryType type) {
  std::uint64_t address = 0;
  const EfiStatus status = map_.allocate(AllocateType::kAnyPages, type, kChunkPages, address);
  if (status != EfiStatus::kSuccess) {
    return status;
  }
  auto* piece = reinterpret_cast<Piece*>(address);
  *piece = {.state = kFree,
            .type = static_cast<std::uint32_t>(type),
            .size = kChunkPages * kEfiPageSize - sizeof(Piece),
            .next = free_};
  free_ = piece;
  return status;
}

/// The first free piece that is large enough, cut to size, out of the list.
PoolAllocator::Piece* PoolAllocator::take(MemoryType type, std::uint64_t size) {
  for (Piece** link = &free_; *link != nullptr; link = &(*link)->next) {
    Piece* piece = *link;
    if (piece->type != static_cast<std::uint32_t>(type) || piece->size < size) {
      continue;
    }
    *link = piece->next;
    if (piece->size >= size + sizeof(Piece) + kUnit) {
      auto* rest =
          reinterpret_cast<Piece*>(reinterpret_cast<std::uint64_t>(piece->memory()) + size);
      *rest = {.state = kFree,
               .type = piece->type,
               .size = piece->size - size - sizeof(Piece),
               .next = free_};
      free_ = rest;
      piece->size = size;
    }
    return piece;
  }
  return nullptr;
}

EfiStatus PoolAllocator::release(void* buffer) {
  if (buffer == nullptr) {
    return EfiStatus::kSuccess;
  }
  const auto address = reinterpret_cast<std::uint64_t>(buffer);
  const MemoryType type = map_.type_at(address);
  if (address % kUnit != 0 || type == MemoryType::kLimit || type == MemoryType::kConventional) {
    return EfiStatus::kInvalidParameter;
  }
  auto* piece = static_cast<Piece*>(buffer) - 1;
  if (piece->type != static_cast<std::uint32_t>(type)) {
    return EfiStatus::kInvalidParameter;
  }
  if (piece->state == kUsedPages) {
    const std::uint64_t pages = piece->size;
    piece->state = kFree;
    return map_.release(reinterpret_cast<std::uint64_t>(piece), pages);
  }
  if (piece->state != kUsed) {
    return EfiStatus::kInvalidParameter;
  }
  piece->state = kFree;
  piece->next = free_;
  free_ = piece;
  return EfiStatus::kSuccess;
}

}  // namespace gpuvm::efi
