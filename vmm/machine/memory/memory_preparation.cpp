// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/memory_preparation.hpp"

#include <sched.h>

#include <system_error>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails where the host has more processors than the set has bits.
  const int count = ::sched_getaffinity(0, sizeof set, &set) == 0
                        ? CPU_COUNT(&set)
                        : static_cast<int>(std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::max(count, 1));
}

MemoryPreparation::~MemoryPreparation() {
  break_off();
  wait_for_end();
}

void MemoryPreparation::wait_for_end() {
  for (std::thread* const thread : {&thread_, &hurrier_}) {
    if (thread->joinable()) {
      thread->join();
    }
  }
}

Status MemoryPreparation::start() {
  try {
    hurrier_ = std::thread([this] { hurry_when_awaited(); });
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    finish(false);  // nobody waits for what will not come
    return fail(ErrorKind::kHost, "No thread can be made for the guest's memory: {}", error.what());
  }
  return {};
}

void MemoryPreparation::run() {
  enter_background_thread("memory");
  sandbox::enter(sandbox::ThreadRole::kMemory);
  threads_.begin();
  Status status;
  if (const auto thrown = thrown_by([&] { status = prepare(); })) {
    status = fail(ErrorKind::kInternal, "Guest memory cannot be prepared: {}", *thrown);
  }
  threads_.end();
  const bool done = status.has_value();
  if (!done && !is_unwanted_) {
    options_.on_failure(std::move(status).error());
  }
  finish(done);
}

void MemoryPreparation::hurry_when_awaited() {
  enter_background_thread("memory-hurry");
  sandbox::enter(sandbox::ThreadRole::kMemory);
  {
    MutexLock lock(mutex_);
    while (!is_awaited_ && !is_done_) {
      changed_.wait(lock);
    }
  }
  threads_.hurry();
}

/// Without one more thread all pages come first.
Status MemoryPreparation::prepare() {
  std::thread pages;
  try {
    pages = std::thread([this] {
      threads_.begin();
      give_pages();
      threads_.end();
    });
  } catch (const std::system_error&) {
    give_pages();
  }
  Status mapped = wait_until_allowed();
  if (mapped) {
    mapped = map_pages();
  }
  has_failed_ = !mapped;
  if (pages.joinable()) {
    pages.join();
  }
  const MutexLock lock(mutex_);
  if (!pages_outcome_ && pages_outcome_.error().kind() != ErrorKind::kCancelled) {
    return std::move(pages_outcome_);
  }
  if (mapped) {
    log::debug("Guest memory is mapped for the devices");
  }
  return mapped;
}

/// Throws nothing: the thread of the pages is still to be waited for.
Status MemoryPreparation::map_pages() {
  Status outcome;
  const auto thrown = thrown_by(
      [&] { outcome = options_.map([this](std::uint64_t end) { return !wait_for_pages(end); }); });
  if (thrown) {
    return fail(ErrorKind::kInternal, "Guest memory cannot be mapped: {}", *thrown);
  }
  return outcome;
}

void MemoryPreparation::give_pages() {
  Status outcome;
  const auto thrown = thrown_by([&] {
    outcome =
        options_.memory.prefault({.on_begin = [this] { threads_.begin(); },
                                  .on_end = [this] { threads_.end(); },
                                  .is_unwanted = [this] { return is_unwanted_ || has_failed_; },
                                  .on_progress = [this](auto bytes) { note_pages(bytes); }});
  });
  if (thrown) {
    outcome = fail(ErrorKind::kInternal, "Guest memory cannot be prepared: {}", *thrown);
  }
  const MutexLock lock(mutex_);
  pages_outcome_ = std::move(outcome);
  pages_are_done_ = true;
  more_pages_.notify_all();
}

void MemoryPreparation::note_pages(std::uint64_t bytes) {
  {
    const MutexLock lock(mutex_);
    pages_ = std::max(pages_, bytes);
    more_pages_.notify_all();
  }
  if (options_.on_pages) {
    options_.on_pages();
  }
}

/// False: they will not come, or are not wanted.
bool MemoryPreparation::wait_for_pages(std::uint64_t end) {
  MutexLock lock(mutex_);
  while (pages_ < end && !pages_are_done_ && !is_unwanted_) {
    more_pages_.wait(lock);
  }
  return pages_ >= end && !is_unwanted_;
}

Status MemoryPreparation::wait_until_allowed() {
  MutexLock lock(mutex_);
  while (!may_map_ && !is_done_) {
    changed_.wait(lock);
  }
  return may_map_ ? Status() : fail(ErrorKind::kCancelled, "The guest's start was broken off");
}

void MemoryPreparation::allow_mapping() {
  const MutexLock lock(mutex_);
  may_map_ = true;
  changed_.notify_all();
}

void MemoryPreparation::finish(bool is_mapped) {
  const MutexLock lock(mutex_);
  is_mapped_ = is_mapped && !is_done_;  // who waited and was let go has been told that it is not
  is_done_ = true;
  changed_.notify_all();
}

bool MemoryPreparation::wait() {
  MutexLock lock(mutex_);
  is_awaited_ = true;
  changed_.notify_all();
  while (!is_done_) {
    changed_.wait(lock);
  }
  return is_mapped_;
}

void MemoryPreparation::break_off() {
  is_unwanted_ = true;
  const MutexLock lock(mutex_);
  is_done_ = true;
  changed_.notify_all();
  more_pages_.notify_all();
}

}  // namespace gpuvm
