// SPDX-License-Identifier: Apache-2.0
#include "vmm/bus/published.hpp"

#include <algorithm>
#include <functional>
#include <thread>

namespace gpuvm {
namespace {

/// Reads in flight on this thread, of all objects.
unsigned& reads_of_this_thread() {
  thread_local unsigned reads = 0;
  return reads;
}

}  // namespace

Versions::Reading::Reading(const Versions& versions)
    : versions_(&versions), place_(&versions.enter()) {
  ++reads_of_this_thread();
}

Versions::Reading::~Reading() {
  if (place_ != nullptr) {
    --reads_of_this_thread();
    place_->used.store(nullptr);
    versions_->set(*place_, nullptr);
  }
}

const void* Versions::Reading::version() const {
  return place_->version.load();
}

void Versions::Reading::use(const void* what) const {
  place_->used.store(what);
  versions_->tell_who_waits();
}

Versions::Versions(std::shared_ptr<const void> first)
    : current_(first.get()), newest_(std::move(first)) {}

Versions::~Versions() {
  for (Block* block = first_.next.load(); block != nullptr;) {
    const std::unique_ptr<Block> gone(block);
    block = gone->next.load();
  }
}

Versions::Block& Versions::Block::following() {
  Block* block = next.load();
  if (block == nullptr) {
    auto fresh = std::make_unique<Block>();
    if (next.compare_exchange_strong(block, fresh.get())) {
      block = fresh.release();
    }
  }
  return *block;
}

Versions::Place& Versions::claim(const void* version) const {
  // Each thread begins at a place of its own, as far as there are enough.
  const std::size_t start = std::hash<std::thread::id>{}(std::this_thread::get_id());
  for (Block* block = &first_;; block = &block->following()) {
    for (std::size_t i = 0; i < kPlaces; ++i) {
      auto& place = block->places[(start + i) % kPlaces];
      const void* free = nullptr;
      if (place.version.load() == nullptr && place.version.compare_exchange_strong(free, version)) {
        return place;
      }
    }
  }
}

Versions::Place& Versions::enter() const {
  const void* version = current_.load();
  Place& place = claim(version);
  // Only what is still current after the place names it is sure to be kept.
  for (const void* now = current_.load(); now != version; now = current_.load()) {
    version = now;
    set(place, version);
  }
  return place;
}

void Versions::set(Place& place, const void* version) const {
  place.version.store(version);
  tell_who_waits();
}

/// After a place has changed: either this sees that somebody waits, or who waits sees the change.
void Versions::tell_who_waits() const {
  if (waiting_.load() != 0) {
    const MutexLock lock(mutex_);
    left_.notify_all();
  }
}

template <class Predicate>
bool Versions::any_place(Predicate&& predicate) const {
  for (const Block* block = &first_; block != nullptr; block = block->next.load()) {
    if (std::any_of(block->places.begin(), block->places.end(), predicate)) {
      return true;
    }
  }
  return false;
}

bool Versions::is_read(const void* version) const {
  return any_place([version](const Place& place) { return place.version.load() == version; });
}

/// The version first: where another read gets the place meanwhile, its version is a newer one, and
/// the read that this asks about has ended.
bool Versions::is_used(std::span<const void* const> used, std::uint64_t last) const {
  const auto newer = std::find_if(replaced_.begin(), replaced_.end(),
                                  [last](const Replaced& old) { return old.number > last; });
  return std::any_of(replaced_.begin(), newer, [&](const Replaced& old) {
    return any_place([&](const Place& place) {
      if (place.version.load() != old.version.get()) {
        return false;
      }
      const void* const now = place.used.load();
      return now == nullptr || std::find(used.begin(), used.end(), now) != used.end();
    });
  });
}

void Versions::forget_unread() {
  std::erase_if(replaced_, [this](const Replaced& old) { return !is_read(old.version.get()); });
}

void Versions::publish(std::shared_ptr<const void> next) {
  const MutexLock lock(mutex_);
  current_.store(next.get());
  replaced_.push_back({++replaced_count_, std::exchange(newest_, std::move(next))});
  forget_unread();
}

Status Versions::drain() {
  TRY(check_outside());
  MutexLock lock(mutex_);
  const std::uint64_t last = replaced_count_;
  ++waiting_;
  forget_unread();
  while (!replaced_.empty() && replaced_.front().number <= last) {
    left_.wait(lock);
    forget_unread();
  }
  --waiting_;
  return {};
}

Status Versions::drain(std::span<const void* const> used) {
  TRY(check_outside());
  MutexLock lock(mutex_);
  const std::uint64_t last = replaced_count_;
  ++waiting_;
  while (is_used(used, last)) {
    left_.wait(lock);
  }
  --waiting_;
  return {};
}

std::size_t Versions::kept() {
  const MutexLock lock(mutex_);
  forget_unread();
  return replaced_.size();
}

Status Versions::check_outside() {
  return reads_of_this_thread() == 0
             ? Status()
             : fail(ErrorKind::kInternal, "A device cannot wait for accesses inside of an access");
}

}  // namespace gpuvm
