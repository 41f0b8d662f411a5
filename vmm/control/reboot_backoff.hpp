// SPDX-License-Identifier: Apache-2.0
// RebootBackoff: how long a guest that reboots waits before it starts again. Each reboot stops
// vCPUs, resets devices and loads a kernel: a guest that does nothing else keeps its host busy, and
// wears out its card. One that crashes at once after each start gets the same rest.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace gpuvm {

/// Not thread-safe.
class RebootBackoff {
 public:
  using Clock = std::chrono::steady_clock;
  /// A life of less is a short one.
  static constexpr std::chrono::seconds kShortLife{10};
  /// A guest that has run for so long begins with a clean record.
  static constexpr std::chrono::seconds kLongLife{300};
  /// So many short lives end without a wait.
  static constexpr unsigned kFree = 5;
  static constexpr std::chrono::seconds kFirstWait{1};

  /// `longest`: wait; 0: none ever.
  explicit RebootBackoff(std::chrono::seconds longest) : longest_(longest) {}

  /// The guest runs from now on.
  void begin(Clock::time_point now) { began_ = now; }
  /// Its life ends by its own reboot: how long the next one is to wait.
  std::chrono::seconds end(Clock::time_point now);
  /// Short lives since the last long one.
  std::uint64_t short_lives() const { return short_lives_; }

 private:
  const std::chrono::seconds longest_;
  std::optional<Clock::time_point> began_;
  std::uint64_t short_lives_ = 0;
};

}  // namespace gpuvm
