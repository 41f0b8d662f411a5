// SPDX-License-Identifier: Apache-2.0
// WordTeller: passes on what a guest says by one channel. A guest may say it without end: what is
// passed on, and what is logged, is bounded for a whole run.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/inspect.hpp"
#include "vmm/channels/said_word.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {

/// Any thread.
class WordTeller : public Inspectable {
 public:
  /// Of each kind, in a run: more than a job with reboots has to say.
  static constexpr std::uint64_t kMostWords = 64;
  static constexpr std::uint64_t kMostComplaints = 5;
  using OnWord = std::function<void(GuestWord)>;

  /// `channel`: as GuestWord has it; `text`: as people know it, "status port".
  WordTeller(std::string channel, std::string text, OnWord on_word)
      : channel_(std::move(channel)), text_(std::move(text)), on_word_(std::move(on_word)) {}

  /// `written`: as GuestWord has it.
  using Time = std::chrono::system_clock::time_point;
  void tell(const SaidWord& word, std::optional<Time> written = std::nullopt);
  /// A word, or a complaint about what is none.
  void tell_line(std::string_view line, std::optional<Time> written = std::nullopt);
  /// What was said is no word: a line about it in the log.
  void complain(std::string_view said);

  void inspect(InspectNode& node) const override;

 private:
  const std::string channel_;
  const std::string text_;
  const OnWord on_word_;
  std::atomic<std::uint64_t> ready_{0};
  std::atomic<std::uint64_t> exits_{0};
  std::atomic<std::uint64_t> nonsense_{0};
};

}  // namespace gpuvm
