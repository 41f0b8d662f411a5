// SPDX-License-Identifier: Apache-2.0
// What is kept of a guest's events. GuestTally: what follows from them: its state and since when,
// its lives, the resets of its devices; a value: who reads it on another thread takes a copy.
// EventRing: the last of them as lines.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "vmm/control/guest_events.hpp"

namespace gpuvm {

class GuestTally {
 public:
  using Time = std::chrono::system_clock::time_point;
  /// functions, reason, verdict, as in the event
  using ResetKind = std::tuple<std::string, std::string, std::string>;
  struct Resets {
    std::uint64_t count = 0;
    std::uint64_t milliseconds = 0;
  };
  /// Kinds beyond these are not told apart: there are few devices, reasons and verdicts.
  static constexpr std::size_t kMostKinds = 512;

  /// began: when gpuvm did.
  explicit GuestTally(Time began) : began_(began), since_(began) {}

  void add(const GuestEvent& event);

  Time began() const { return began_; }
  LifecycleState state() const { return state_; }
  /// When it entered its state.
  Time since() const { return since_; }
  /// From the guest's first instruction in this run, through resets and pauses; 0: there was none.
  std::chrono::milliseconds uptime(Time now) const;
  /// Times that it was powered on or reset.
  std::uint64_t lives() const { return lives_; }
  std::uint64_t events() const { return events_; }
  std::optional<std::uint32_t> cid() const { return cid_; }
  const std::map<ResetKind, Resets>& resets() const { return resets_; }

 private:
  void add(const StateChange& change, Time time);
  void add(const DevicesReset& reset);

  Time began_;
  Time since_;
  std::optional<Time> ran_ = {};
  LifecycleState state_ = LifecycleState::kCreated;
  std::uint64_t lives_ = 0;
  std::uint64_t events_ = 0;
  std::optional<std::uint32_t> cid_ = {};
  std::map<ResetKind, Resets> resets_ = {};
};

/// A guest may cause many events (its resets): the oldest are forgotten. Its memory is had, and
/// touched, from the start: gpuvm does not grow with the guest's life. Not synchronised.
class EventRing {
 public:
  static constexpr std::size_t kMostBytes = 64 * 1024;

  EventRing() : text_(kMostBytes, '\0') { text_.clear(); }

  /// `line`: with its line feed. One that is longer than the ring is not kept.
  void add(std::string_view line);
  /// The oldest first, each with its line feed.
  std::string_view lines() const { return text_; }

 private:
  std::string text_;  ///< whole lines
};

}  // namespace gpuvm
