// SPDX-License-Identifier: Apache-2.0
// What a pool, its guests and who takes one say to each other: lines of JSON over Unix sockets, of
// which one brings a descriptor. docs/pool.md tells who says what when. The other side is never
// believed: lines are bounded, and what is not as it is to be is an error.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/control/run_result.hpp"

namespace gpuvm::pool {

/// Bytes of a line: a configuration as text, or words for a guest.
inline constexpr std::size_t kLongestLine = std::size_t{256} << 10;

/// Sends the line and a line feed, with the descriptor unless that is -1. Waits at most `limit` for
/// room. Errors: kHost: the other side is gone, or does not read.
Status send_line(int socket, std::string_view line, std::chrono::milliseconds limit, int fd = -1);

/// Lines of a socket that comes in any pieces.
class LineReceiver {
 public:
  enum class Progress {
    kLine,    ///< line() is the next one
    kMore,    ///< there is none yet
    kClosed,  ///< the other side is gone; what it had begun is no line
    kWrong,   ///< a line that is too long or one too many, or the socket cannot be read
  };
  /// How descriptors that come along are had.
  enum class Descriptors {
    kTaken,   ///< the last one is kept (recvmsg(2))
    kNobody,  ///< the kernel drops them: read(2) is enough, for threads that may do no more
  };
  /// `most`: lines in all, for a side that has no reason to say more, and would else keep who hears
  /// it from all other work.
  explicit LineReceiver(Descriptors descriptors, unsigned most = ~0U)
      : descriptors_(descriptors), most_(most) {}

  /// Reads once, unless there is a whole line already. Waits only where the socket blocks and
  /// `descriptors` is kNobody.
  Progress receive(int socket);
  const std::string& line() const { return line_; }
  UniqueFd take_descriptor() { return std::move(descriptor_); }

 private:
  Progress receive_next(int socket);
  ssize_t read_some(int socket, char* bytes, std::size_t size);
  bool cut_line();

  Descriptors descriptors_;
  unsigned most_;
  unsigned lines_ = 0;
  std::string pending_;
  std::string line_;
  UniqueFd descriptor_;
};

/// The next line, within `limit`. Errors: kHost, naming `who`.
Status receive_line(LineReceiver& receiver, int socket, std::chrono::milliseconds limit,
                    std::string_view who);

// Who wants a guest → the pool.

struct TakeRequest {
  std::string machine = {};  ///< machine_text() of what is wanted
};
std::string to_line(const TakeRequest& request);
std::optional<TakeRequest> read_take_request(std::string_view line);

// The pool → who wants a guest; a TakenGuest comes with the lease.

struct TakenGuest {
  std::string name = {};
  std::string socket = {};  ///< path of its control socket
  std::int64_t pid = 0;
};
std::string to_line(const TakenGuest& guest);
std::string refusal_line(const Error& error);
/// Errors: what the pool said, or kHost.
Result<TakenGuest> read_take_answer(std::string_view line);

// By the lease, from who has it to the guest's gpuvm.

struct LeaseWord {
  enum class Kind { kGo, kPressPowerButton, kStop };
  Kind kind = Kind::kStop;
  std::string words = {};  ///< of kGo: for the guest
};
std::string to_line(const LeaseWord& word);
std::optional<LeaseWord> read_lease_word(std::string_view line);

// By the lease, from the guest's gpuvm to the pool, and to who takes the guest from it.

struct MemberWord {
  enum class Kind {
    kReady,    ///< the guest waits, paused
    kRuns,     ///< it goes on
    kRefused,  ///< it cannot: result.error says why
    kEnded,    ///< its run is over, like this
    kOwner,    ///< so is that of the process which gives its devices back; result.exit_status
  };
  Kind kind = Kind::kReady;
  RunResult result = {};
};
/// No guest says as many.
inline constexpr unsigned kMostMemberWords = 64;
std::string to_line(const MemberWord& word);
std::optional<MemberWord> read_member_word(std::string_view line);

}  // namespace gpuvm::pool
