// SPDX-License-Identifier: Apache-2.0
// PrefaultChunks: guest memory's file, cut into chunks that threads give their pages, each thread
// preferably those of its own NUMA node, and how much of the file from its start is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// A part of the file whose pages come from one node of the host.
struct PrefaultPart {
  std::uint64_t begin = 0;  ///< bytes
  std::uint64_t size = 0;
  std::optional<unsigned> host_node = {};  ///< nothing: from wherever the host likes

  std::uint64_t end() const { return begin + size; }
};

/// The file of `size` bytes as parts that follow each other without a gap; of `placed` those that
/// overlap one before them, in the order of addresses, count for nothing.
std::vector<PrefaultPart> cut_into_parts(std::uint64_t size, std::vector<PrefaultPart> placed);

/// Any thread.
class PrefaultChunks {
 public:
  struct Chunk {
    std::uint64_t offset = 0;  ///< in the file
    std::uint64_t size = 0;
  };

  /// `parts` as of cut_into_parts(), not empty; chunks of at most `chunk` bytes.
  PrefaultChunks(std::vector<PrefaultPart> parts, std::uint64_t chunk);

  /// The part that the thread with this number prefers.
  const PrefaultPart& preferred(std::size_t thread) const;
  /// One that nobody has had: of the preferred part, else of another one from the same node, else
  /// of any. Nothing: all are taken.
  std::optional<Chunk> take(std::size_t thread) GPUVM_EXCLUDES(mutex_);
  /// The chunk is done. How many bytes from the start of the file are done with it; a chunk that is
  /// never told to be done stays what ends them.
  std::uint64_t finish(const Chunk& chunk) GPUVM_EXCLUDES(mutex_);

 private:
  std::optional<std::size_t> choose(const PrefaultPart& wish) const GPUVM_REQUIRES(mutex_);

  const std::vector<PrefaultPart> parts_;
  const std::uint64_t chunk_;
  mutable Mutex mutex_;
  std::vector<std::uint64_t> next_ GPUVM_GUARDED_BY(mutex_);    ///< of each part, in the file
  std::set<std::uint64_t> under_way_ GPUVM_GUARDED_BY(mutex_);  ///< at most one for each thread
};

}  // namespace gpuvm
