// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/event_log.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// RFC 3339, in UTC, with milliseconds.
std::string time_text() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

}  // namespace

Result<std::unique_ptr<EventLog>> EventLog::open(const std::string& path, std::string guest) {
  // Non-blocking: a FIFO that nobody empties must not stop a guest.
  UniqueFd fd(::open(path.c_str(),
                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644));
  if (!fd) {
    return fail_errno(ErrorKind::kUsage, "Cannot write events to " + path);
  }
  return std::unique_ptr<EventLog>(new EventLog(std::move(fd), std::move(guest)));
}

InspectNode EventLog::begin(std::string_view event) const {
  InspectNode node;
  node.field("time", time_text());
  node.field("guest", guest_);
  node.field("event", event);
  return node;
}

void EventLog::state(std::string_view from, std::string_view to, const Holdings& holdings) {
  InspectNode node = begin("state");
  node.field("from", from);
  node.field("to", to);
  node.field("memory_slots", holdings.memory_slots);
  node.field("heap_bytes", holdings.heap_bytes);
  write(node);
}

void EventLog::reset(std::string_view reason, const ResetCertificate& certificate) {
  InspectNode node = begin("reset");
  node.field("reason", reason);
  certificate.inspect(node);
  write(node);
}

void EventLog::write(const InspectNode& node) {
  const std::string line = node.to_json() + "\n";
  if (::write(fd_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) {
    return;
  }
  const Error error = fail_errno(ErrorKind::kHost, "An event was lost");
  const std::lock_guard lock(mutex_);
  if (!has_warned_) {
    log::warn("{}", error.to_string());
  }
  has_warned_ = true;
}

}  // namespace gpuvm
