// SPDX-License-Identifier: Apache-2.0
// PoolBook: which guests of a pool there are, what each is doing, and how many are to be started
// now. A guest that ended before anybody took it is replaced after a wait that doubles each time;
// one that was taken is never given again. Pure: no clock is read, no process is touched.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace gpuvm::pool {

/// Not synchronised.
class PoolBook {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Number = std::uint64_t;  ///< of a guest; none comes twice

  struct Options {
    std::size_t size = 1;     ///< guests that are to wait, 1 to 256
    std::size_t at_once = 4;  ///< that boot at the same time
    std::chrono::milliseconds boot_limit{900000};
    std::chrono::milliseconds first_wait{1000};  ///< before a guest in the place of one that failed
    std::chrono::milliseconds longest_wait{60000};
    /// A guest that has lived as long as this before it ended is no sign that the next will fail.
    std::chrono::milliseconds long_life{60000};
  };
  enum class State {
    kBooting,
    kReady,   ///< waits for who wants it
    kTaken,   ///< somebody's
    kEnding,  ///< it took too long to boot, or is out of order
  };

  explicit PoolBook(Options options) : options_(options) {}

  /// How many guests are to be started now.
  std::size_t wanted(Time now) const;
  /// One was, or could not be: then ended() follows.
  Number started(Time now);
  void ready(Number guest);
  /// The one that has waited longest; nothing: none waits.
  std::optional<Number> take();
  /// It is to end, whatever it was: nobody gets it.
  void ending(Number guest);
  /// Those that are to be ended, each once.
  std::vector<Number> overdue(Time now);
  /// Its process is gone.
  void ended(Number guest, Time now);
  State state_of(Number guest) const;

  /// When to look again, whatever happens until then; nothing: there is no need.
  std::optional<Time> next_look(Time now) const;
  std::size_t count(State state) const;
  std::size_t size() const { return options_.size; }
  /// No guest has ever waited: what one of them says of the configuration is true of all.
  bool is_unproven() const { return !has_had_ready_; }
  /// Guests in a row that failed.
  std::uint64_t failures() const { return failures_; }

 private:
  struct Guest {
    State state = State::kBooting;
    Time started = {};
    bool has_waited = false;
  };
  void failed(Time now);

  const Options options_;
  std::map<Number, Guest> guests_;
  Number last_ = 0;
  std::uint64_t failures_ = 0;
  bool has_had_ready_ = false;
  std::optional<Time> wait_until_;
};

}  // namespace gpuvm::pool
