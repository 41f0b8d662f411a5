// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/event_log.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/append_file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/service/event_journal.hpp"

namespace gpuvm {

Result<std::unique_ptr<EventLog>> EventLog::open(const std::string& path) {
  // It does not wait: a FIFO that nobody empties must not stop a guest.
  UniqueFd fd = TRY(open_to_append(path, AppendedLines::kJson, "--events"));
  return std::unique_ptr<EventLog>(new EventLog(std::move(fd), path));
}

void EventLog::write(const GuestEvent& event) {
  const std::string line = event_node(event).to_json() + "\n";
  if (!has_room(line.size())) {
    return;
  }
  if (::write(fd_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) {
    return;
  }
  const Error error =
      fail_errno(ErrorKind::kHost, "An event was lost: writing to " + path_ + " failed");
  const MutexLock lock(mutex_);
  if (lost_++ == 0) {
    log::warn("{}", error.to_string());
  }
}

/// Of a regular file: who reads a FIFO decides by himself.
bool EventLog::has_room(std::size_t size) {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return true;
  }
  const MutexLock lock(mutex_);
  if (!is_full_ && written_ + size > most_) {
    is_full_ = true;
    log::warn("{} has its most of this run, {} MiB of events: those to come are left out", path_,
              most_ >> 20);
  }
  written_ += is_full_ ? 0 : size;
  return !is_full_;
}

EventLog::~EventLog() {
  const MutexLock lock(mutex_);
  if (lost_ > 0) {
    log::warn("{} {} lost in all: writing to {} failed", lost_,
              lost_ == 1 ? "event was" : "events were", path_);
  }
}

Result<std::unique_ptr<EventLog>> add_observers(const std::string& file,
                                                const std::vector<GuestObserver>& observers,
                                                GuestEvents& events) {
  std::unique_ptr<EventLog> lines;
  if (!file.empty()) {
    lines = TRY(EventLog::open(file));
    events.add([raw = lines.get()](const GuestEvent& event) { raw->write(event); });
  }
  if (log::has_journal()) {
    events.add(write_event_to_journal);
  }
  for (const GuestObserver& observer : observers) {
    events.add(observer);
  }
  return lines;
}

}  // namespace gpuvm
