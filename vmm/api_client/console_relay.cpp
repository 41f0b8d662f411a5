// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/console_relay.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>

#include "vmm/api_client/terminal_trace.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostTyped = 65536;  ///< that waits for the guest
constexpr std::size_t kMostShown = 65536;  ///< that waits for the output
constexpr std::size_t kRelayPiece = 16384;
constexpr std::chrono::milliseconds kUndoTime{500};

class Relay {
 public:
  Relay(const UniqueFd& console, const RelayOptions& options)
      : console_(console.get()), options_(options), input_(options.input) {}

  Result<RelayOutcome> run(std::string_view first) {
    shown_ = first;
    std::optional<RelayOutcome> end = TRY(show());
    while (!end) {
      end = TRY(step());
    }
    if (options_.output_is_terminal && end->end != RelayEnd::kNoReader) {
      give_terminal_back();
    }
    return *end;
  }

 private:
  using End = std::optional<RelayOutcome>;

  Result<End> step() {
    const bool takes_input = options_.escape_key != 0 || typed_.size() < kMostTyped;
    const bool takes_output = shown_.size() < kMostShown;
    const auto to_guest = static_cast<short>(typed_.empty() ? 0 : POLLOUT);
    const auto from_guest = static_cast<short>(takes_output ? POLLIN : 0);
    const bool asks_guest = !has_guest_ended_ && (to_guest != 0 || from_guest != 0);
    std::array<pollfd, 4> waiting = {
        {{.fd = asks_guest ? console_ : -1,
          .events = static_cast<short>(to_guest | from_guest),
          .revents = 0},
         {.fd = takes_input ? input_ : -1, .events = POLLIN, .revents = 0},
         {.fd = options_.signals, .events = POLLIN, .revents = 0},
         {.fd = shown_.empty() ? -1 : options_.output, .events = POLLOUT, .revents = 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0) {
      return errno == EINTR ? Result<End>(End())
                            : Result<End>(fail_errno(ErrorKind::kHost, "Cannot wait"));
    }
    if (waiting[2].revents != 0) {
      return take_signal();
    }
    // Before the console's end: who leaves has left, whatever the guest does.
    if (waiting[1].revents != 0) {
      if (const End end = take_input()) {
        return end;
      }
    }
    if ((waiting[0].revents & POLLOUT) != 0) {
      send_typed();
    }
    if (takes_output && (waiting[0].revents & ~POLLOUT) != 0) {
      take_output();
    }
    return show();
  }

  Result<End> take_signal() const {
    signalfd_siginfo info{};
    return ::read(options_.signals, &info, sizeof info) == sizeof info
               ? End(RelayOutcome{.end = RelayEnd::kSignal,
                                  .signal = static_cast<int>(info.ssi_signo)})
               : End();
  }

  End take_input() {
    std::array<char, kRelayPiece> piece{};
    const ssize_t got = ::read(input_, piece.data(), piece.size());
    if (got <= 0) {
      if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
        input_ = -1;
      }
      return std::nullopt;
    }
    std::string_view text(piece.data(), static_cast<std::size_t>(got));
    const auto escape =
        options_.escape_key == 0 ? text.npos : text.find(static_cast<char>(options_.escape_key));
    text = text.substr(0, escape);
    typed_ += options_.escape_key == 0 ? text : text.substr(0, kMostTyped - typed_.size());
    send_typed();
    return escape == text.npos ? End() : End(RelayOutcome{.end = RelayEnd::kDetached});
  }

  void send_typed() {
    const ssize_t sent =
        ::send(console_, typed_.data(), typed_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      typed_.erase(0, static_cast<std::size_t>(sent));
    } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      typed_.clear();  // the guest's side is closed, which its output tells
    }
  }

  void take_output() {
    std::array<char, kRelayPiece> piece{};
    const ssize_t got = ::recv(console_, piece.data(), piece.size(), MSG_DONTWAIT);
    if (got > 0) {
      shown_.append(piece.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      has_guest_ended_ = true;
    }
  }

  /// As much as the output takes now. The guest's end is one when all is shown.
  Result<End> show() {
    while (!shown_.empty()) {
      const ssize_t written = ::write(options_.output, shown_.data(), shown_.size());
      if (written > 0) {
        note_shown(static_cast<std::size_t>(written));
      } else if (errno == EAGAIN) {
        return End();
      } else if (errno == EPIPE || errno == EIO) {
        return End(RelayOutcome{.end = RelayEnd::kNoReader});
      } else if (errno != EINTR) {
        return fail_errno(ErrorKind::kHost, "Cannot write to standard output");
      }
    }
    return has_guest_ended_ ? End(RelayOutcome{.end = RelayEnd::kGuestGone}) : End();
  }

  void note_shown(std::size_t count) {
    if (options_.output_is_terminal) {
      trace_.see(std::string_view(shown_).substr(0, count));
    }
    shown_.erase(0, count);
  }

  /// One that takes nothing, because it is stopped or its other side hangs, stays as it is.
  void give_terminal_back() {
    const auto deadline = std::chrono::steady_clock::now() + kUndoTime;
    std::string text = trace_.undo();
    while (!text.empty()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd waiting{.fd = options_.output, .events = POLLOUT, .revents = 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
        return;
      }
      const ssize_t written = ::write(options_.output, text.data(), text.size());
      if (written > 0) {
        text.erase(0, static_cast<std::size_t>(written));
      } else if (errno != EAGAIN && errno != EINTR) {
        return;
      }
    }
  }

  const int console_;
  const RelayOptions options_;
  int input_;  ///< -1 after its end
  std::string typed_;
  std::string shown_;  ///< printed, and not yet taken by the output
  bool has_guest_ended_ = false;
  TerminalTrace trace_;
};

}  // namespace

Result<RelayOutcome> relay_console(const UniqueFd& console, std::string_view first,
                                   const RelayOptions& options) {
  return Relay(console, options).run(first);
}

}  // namespace gpuvm
