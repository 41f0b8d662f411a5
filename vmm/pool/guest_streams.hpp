// SPDX-License-Identifier: Apache-2.0
// GuestStreams: what happens to a guest that another process runs, and what it prints, by its
// control socket, to whoever listens here. Two threads, which end with the guest's gpuvm.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm::pool {

class GuestStreams {
 public:
  using OnConsole = std::function<void(std::span<const std::byte>)>;
  /// Both connections are made when this returns. `events` and what `on_console` uses must outlive
  /// this. Events older than `since` are left out, and so is what was printed before. Errors:
  /// kHost.
  static Result<std::unique_ptr<GuestStreams>> start(const std::string& socket,
                                                     std::chrono::system_clock::time_point since,
                                                     GuestEvents& events, OnConsole on_console);
  /// As finish().
  ~GuestStreams() { finish(); }
  GuestStreams(const GuestStreams&) = delete;
  GuestStreams& operator=(const GuestStreams&) = delete;

  /// Waits until all has been heard: the guest's gpuvm is gone, or has closed its streams.
  void finish();
  /// Nothing more is heard of a gpuvm that is there and out of order, so that finish() returns.
  void break_off() const;

 private:
  GuestStreams(UniqueFd events, UniqueFd console)
      : events_(std::move(events)), console_(std::move(console)) {}

  const UniqueFd events_;
  const UniqueFd console_;
  std::thread event_thread_;
  std::thread console_thread_;
};

}  // namespace gpuvm::pool
