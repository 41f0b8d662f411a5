// SPDX-License-Identifier: Apache-2.0
// HotOffsets: which offsets are accessed most, in bounded memory: the space-saving algorithm of
// Metwally, Agrawal and El Abbadi (2005). With more than kCapacity distinct offsets a count may be
// too high by at most Hit::error, never too low.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

class HotOffsets {
 public:
  static constexpr std::size_t kCapacity = 64;

  struct Hit {
    std::uint64_t offset = 0;
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    std::uint64_t error = 0;  ///< count inherited from the offset whose place this one took
    std::uint64_t total() const { return reads + writes + error; }
  };

  /// Any thread.
  void note_read(std::uint64_t offset) { note(offset, false); }
  void note_write(std::uint64_t offset) { note(offset, true); }
  /// The (at most) `limit` most accessed offsets, hottest first. Any thread.
  std::vector<Hit> top(std::size_t limit) const;
  /// All accesses ever noted. Any thread.
  std::uint64_t total() const;

 private:
  void note(std::uint64_t offset, bool write);

  mutable Mutex mutex_;
  std::array<Hit, kCapacity> hits_ GPUVM_GUARDED_BY(mutex_){};
  std::size_t used_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::uint64_t total_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm
