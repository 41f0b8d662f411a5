// SPDX-License-Identifier: Apache-2.0
// Published: a table that many threads read without a lock while others replace it, and a way to
// wait until nobody reads what it was before. Buses and the PCI topology keep their handlers in
// one, so that a device can leave while vCPUs run.
//
// A reader takes a place and notes in it the version that it reads (as "hazard pointers" do: M. M.
// Michael, IEEE TPDS 15(6), 2004). A version that was replaced is kept while a place names it, so
// no more of them exist than reads are in flight, whatever a guest does. All atomics are
// sequentially consistent: either a reader sees that its version was replaced and takes the new
// one, or who replaced it sees the reader's place.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// What of Published does not depend on the type. Must outlive every thread that reads.
class Versions {
  struct Place;

 public:
  /// A read in flight. Begins and ends on one thread; others may begin and end inside it.
  class Reading {
   public:
    explicit Reading(const Versions& versions);
    Reading(Reading&& other) noexcept
        : versions_(other.versions_), place_(std::exchange(other.place_, nullptr)) {}
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    Reading& operator=(Reading&&) = delete;
    ~Reading();
    /// The version that is read.
    const void* version() const;
    /// What of it is used from here on, once: see drain(users).
    void use(const void* what) const;

   private:
    const Versions* versions_;
    Place* place_;
  };

  /// first: not null.
  explicit Versions(std::shared_ptr<const void> first);
  ~Versions();
  Versions(const Versions&) = delete;
  Versions& operator=(const Versions&) = delete;

  /// Reads that begin from now on read `next`. Never waits for a reader. Any thread.
  void publish(std::shared_ptr<const void> next) GPUVM_EXCLUDES(mutex_);
  /// The newest version, for who alone publishes.
  const void* newest() const { return current_.load(); }
  /// Waits for the reads of all that was replaced before. Errors: those of check_outside().
  Status drain() GPUVM_EXCLUDES(mutex_);
  /// Waits for those of these reads alone that use one of `used`, or have not said yet what they
  /// use: others may take as long as they like. Errors: as above.
  Status drain(std::span<const void* const> used) GPUVM_EXCLUDES(mutex_);
  /// How many replaced versions are kept because somebody still reads them.
  std::size_t kept() GPUVM_EXCLUDES(mutex_);

  /// Errors: kInternal while this thread reads any Published: two threads that waited for each
  /// other's reads would do so for ever.
  static Status check_outside();

 private:
  static constexpr std::size_t kPlaces = 16;
  /// A cache line each: vCPUs do not share one.
  struct alignas(64) Place {
    std::atomic<const void*> version{nullptr};  ///< null: free
    std::atomic<const void*> used{nullptr};     ///< null: not known yet
  };
  /// Another is added when all places are taken, and stays.
  struct Block {
    std::array<Place, kPlaces> places;
    std::atomic<Block*> next{nullptr};
    Block& following();
  };
  struct Replaced {
    std::uint64_t number;
    std::shared_ptr<const void> version;
  };

  Place& enter() const;
  Place& claim(const void* version) const;
  void set(Place& place, const void* version) const GPUVM_EXCLUDES(mutex_);
  void tell_who_waits() const GPUVM_EXCLUDES(mutex_);
  template <class Predicate>
  bool any_place(Predicate&& predicate) const;
  bool is_read(const void* version) const;
  bool is_used(std::span<const void* const> used, std::uint64_t last) const GPUVM_REQUIRES(mutex_);
  void forget_unread() GPUVM_REQUIRES(mutex_);

  std::atomic<const void*> current_;
  mutable Block first_;
  mutable std::atomic<unsigned> waiting_{0};  ///< threads in drain()
  mutable Mutex mutex_;
  mutable Condition left_;
  std::shared_ptr<const void> newest_ GPUVM_GUARDED_BY(mutex_);
  std::vector<Replaced> replaced_ GPUVM_GUARDED_BY(mutex_);  ///< oldest first
  std::uint64_t replaced_count_ GPUVM_GUARDED_BY(mutex_) = 0;
};

template <class T>
class Published {
 public:
  /// A read in flight: the value stays as it is, and what it names stays usable, until this goes.
  class Reading {
   public:
    explicit Reading(const Versions& versions) : reading_(versions) {}
    const T& operator*() const { return *static_cast<const T*>(reading_.version()); }
    const T* operator->() const { return static_cast<const T*>(reading_.version()); }
    /// What the value names and this read uses from here on, once; never null. See drain(used).
    void use(const void* what) const { reading_.use(what); }

   private:
    Versions::Reading reading_;
  };

  explicit Published(T first = {}) : versions_(std::make_shared<const T>(std::move(first))) {}

  /// Takes no lock and never waits. Any thread.
  Reading read() const { return Reading(versions_); }

  /// Lets `change` (a callable of T& that returns Status) work on a copy, which is published if it
  /// succeeds. Reads that began before go on with the old value: this does not wait for them, so
  /// that it may be called inside of a read. Any thread; `change` must not use this object.
  template <class Change>
  Status change(Change&& change) GPUVM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    auto next = std::make_shared<T>(*static_cast<const T*>(versions_.newest()));
    TRY(change(*next));
    versions_.publish(std::move(next));
    return {};
  }

  /// Returns when every read of a value that was replaced before this call has ended. What only
  /// such values named may then be destroyed. Not with a lock held that a reader may wait for.
  /// Errors: kInternal inside of a read (Versions::check_outside()), at once.
  Status drain() { return versions_.drain(); }
  /// As above, but for reads that have said by use() that they use none of `used`: these may then
  /// be destroyed.
  Status drain(std::span<const void* const> used) { return versions_.drain(used); }

  /// Replaced values that are still read: for tests.
  std::size_t kept() { return versions_.kept(); }

 private:
  Mutex mutex_;  ///< one change after the other
  Versions versions_;
};

}  // namespace gpuvm
