// SPDX-License-Identifier: Apache-2.0
// ByteRing: a bounded queue of bytes that forgets its oldest ones when it is full.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace gpuvm {

/// Not synchronised.
class ByteRing {
 public:
  /// capacity: above 0.
  explicit ByteRing(std::size_t capacity) : capacity_(capacity) {}

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t room() const { return capacity_ - size_; }

  /// Appends all bytes (of more than the capacity, the last ones); returns how many bytes, old or
  /// new, were forgotten for it.
  std::size_t push(std::span<const std::byte> bytes) {
    std::size_t forgotten = 0;
    if (bytes.size() > capacity_) {
      forgotten = bytes.size() - capacity_;
      bytes = bytes.subspan(forgotten);
    }
    if (bytes.size() > capacity_ - size_) {
      const std::size_t excess = bytes.size() - (capacity_ - size_);
      pop(excess);
      forgotten += excess;
    }
    if (!data_ && !bytes.empty()) {
      data_.reset(new std::byte[capacity_]);  // not zeroed: pages appear as they are used
    }
    while (!bytes.empty()) {
      const std::size_t at = (head_ + size_) % capacity_;
      const std::size_t run = std::min(bytes.size(), capacity_ - at);
      std::memcpy(&data_[at], bytes.data(), run);
      size_ += run;
      bytes = bytes.subspan(run);
    }
    return forgotten;
  }

  /// The oldest bytes, as many as lie in one piece; empty only if the ring is.
  std::span<const std::byte> front() const {
    return {data_.get() + head_, std::min(size_, capacity_ - head_)};
  }

  /// Removes the oldest bytes; count: at most size().
  void pop(std::size_t count) {
    head_ = (head_ + count) % capacity_;
    size_ -= count;
  }

 private:
  std::size_t capacity_;
  std::unique_ptr<std::byte[]> data_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace gpuvm
