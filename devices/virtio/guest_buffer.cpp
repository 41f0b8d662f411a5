// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/guest_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace gpuvm {

void GuestBuffer::append(std::span<std::byte> piece) {
  if (!piece.empty()) {
    pieces_.push_back({.iov_base = piece.data(), .iov_len = piece.size()});
    size_ += piece.size();
  }
}

void GuestBuffer::clear() {
  pieces_.clear();
  size_ = 0;
}

bool GuestBuffer::take(std::span<std::byte> out) {
  if (out.size() > size_) {
    return false;
  }
  size_ -= out.size();
  std::size_t used_up = 0;
  while (!out.empty()) {
    iovec& piece = pieces_[used_up];
    const std::size_t count = std::min(out.size(), piece.iov_len);
    std::memcpy(out.data(), piece.iov_base, count);
    out = out.subspan(count);
    piece.iov_base = static_cast<std::byte*>(piece.iov_base) + count;
    piece.iov_len -= count;
    used_up += piece.iov_len == 0 ? 1U : 0U;
  }
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(used_up));
  return true;
}

std::byte* GuestBuffer::take_last() {
  if (size_ == 0) {
    return nullptr;
  }
  iovec& piece = pieces_.back();
  auto* const last = static_cast<std::byte*>(piece.iov_base) + (piece.iov_len - 1);
  --size_;
  if (--piece.iov_len == 0) {
    pieces_.pop_back();
  }
  return last;
}

std::uint64_t GuestBuffer::fill(std::span<const std::byte> in) const {
  std::uint64_t done = 0;
  for (const iovec& piece : pieces_) {
    const std::size_t count = std::min(in.size(), piece.iov_len);
    if (count == 0) {
      break;
    }
    std::memcpy(piece.iov_base, in.data(), count);
    in = in.subspan(count);
    done += count;
  }
  return done;
}

}  // namespace gpuvm
