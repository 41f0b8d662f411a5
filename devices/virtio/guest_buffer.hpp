// SPDX-License-Identifier: Apache-2.0
// GuestBuffer: bytes of guest memory in several pieces, as a descriptor chain names them. Devices
// must not care how a driver cut them (VIRTIO 1.2, 2.7.4.1). The guest may change the bytes at any
// time: what is decided upon is copied first.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gpuvm {

class GuestBuffer {
 public:
  /// Appends a piece; an empty one is left out.
  void append(std::span<std::byte> piece);
  void clear();

  std::uint64_t size() const { return size_; }
  /// The pieces, for readv(2) and its like.
  std::span<const iovec> pieces() const { return pieces_; }

  /// Copies from the start to `out` and takes that off the front; false, and nothing done, when
  /// fewer bytes are there.
  bool take(std::span<std::byte> out);
  /// Takes the last byte off; nullptr when there is none. Guest memory: write only.
  std::byte* take_last();
  /// Copies to the front, as much as fits; returns how much.
  std::uint64_t fill(std::span<const std::byte> in) const;

 private:
  std::vector<iovec> pieces_;
  std::uint64_t size_ = 0;
};

}  // namespace gpuvm
