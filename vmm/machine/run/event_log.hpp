// SPDX-License-Identifier: Apache-2.0
// EventLog: what happens to a machine as lines of JSON (jsonlines.org), for supervisors: changes of
// state and every reset with its method, duration and verdict. `gpuvm run --events FILE`.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "devices/physical/reset/reset_sequence.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// What a machine holds at one moment, for who looks whether it grows.
struct Holdings {
  std::uint64_t memory_slots = 0;  ///< of KVM: guest memory, mapped BARs, flash
  std::uint64_t heap_bytes = 0;    ///< handed out by the allocator
};

/// Any thread. A line is one write(2); one that cannot be written is lost, and a warning says so
/// once.
class EventLog {
 public:
  /// Appends to a file, or writes to a FIFO that somebody reads. Errors: kUsage.
  static Result<std::unique_ptr<EventLog>> open(const std::string& path, std::string guest);

  /// {"event":"state","from":"running","to":"stopping","memory_slots":6,"heap_bytes":271840}
  void state(std::string_view from, std::string_view to, const Holdings& holdings);
  /// {"event":"reset","reason":"start","functions":"…","method":"hot reset","verdict":"verified",
  /// "duration_ms":131,"text":"…"}
  void reset(std::string_view reason, const ResetCertificate& certificate);

 private:
  EventLog(UniqueFd fd, std::string guest) : fd_(std::move(fd)), guest_(std::move(guest)) {}
  InspectNode begin(std::string_view event) const;
  void write(const InspectNode& node);

  UniqueFd fd_;
  const std::string guest_;
  std::mutex mutex_;  ///< guards has_warned_
  bool has_warned_ = false;
};

}  // namespace gpuvm
