// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/prefault_chunks.hpp"

#include <algorithm>
#include <utility>

namespace gpuvm {

std::vector<PrefaultPart> cut_into_parts(std::uint64_t size, std::vector<PrefaultPart> placed) {
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<PrefaultPart> parts;
  std::uint64_t done = 0;
  for (const PrefaultPart& part : placed) {
    if (part.begin < done || part.begin >= size || part.size == 0 ||
        part.size > size - part.begin) {
      continue;
    }
    if (part.begin > done) {
      parts.push_back({.begin = done, .size = part.begin - done});
    }
    parts.push_back(part);
    done = part.end();
  }
  if (done < size) {
    parts.push_back({.begin = done, .size = size - done});
  }
  return parts;
}

PrefaultChunks::PrefaultChunks(std::vector<PrefaultPart> parts, std::uint64_t chunk)
    : parts_(std::move(parts)), chunk_(chunk) {
  for (const PrefaultPart& part : parts_) {
    next_.push_back(part.begin);
  }
}

const PrefaultPart& PrefaultChunks::preferred(std::size_t thread) const {
  return parts_[thread % parts_.size()];
}

std::optional<std::size_t> PrefaultChunks::choose(const PrefaultPart& wish) const {
  std::optional<std::size_t> of_node;
  std::optional<std::size_t> of_any;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (next_[i] >= parts_[i].end()) {
      continue;
    }
    if (parts_[i].begin == wish.begin) {
      return i;
    }
    if (!of_node && parts_[i].host_node == wish.host_node) {
      of_node = i;
    }
    if (!of_any) {
      of_any = i;
    }
  }
  return of_node ? of_node : of_any;
}

std::optional<PrefaultChunks::Chunk> PrefaultChunks::take(std::size_t thread) {
  const MutexLock lock(mutex_);
  const auto part = choose(preferred(thread));
  if (!part) {
    return std::nullopt;
  }
  std::uint64_t& next = next_[*part];
  const Chunk chunk{.offset = next, .size = std::min(chunk_, parts_[*part].end() - next)};
  next += chunk.size;
  under_way_.insert(chunk.offset);
  return chunk;
}

std::uint64_t PrefaultChunks::finish(const Chunk& chunk) {
  const MutexLock lock(mutex_);
  under_way_.erase(chunk.offset);
  std::uint64_t done = parts_.back().end();
  if (!under_way_.empty()) {
    done = *under_way_.begin();
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (next_[i] < parts_[i].end()) {
      done = std::min(done, next_[i]);
    }
  }
  return done;
}

}  // namespace gpuvm
