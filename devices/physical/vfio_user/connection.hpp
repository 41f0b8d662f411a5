// SPDX-License-Identifier: Apache-2.0
// Connection: commands to one vfio-user server and their answers. A thread of its own reads what
// comes, so that several threads may have commands under way and a server that leaves is noticed at
// once. A server that breaks the protocol, or takes too long, is gone for good: no answer of it
// would be worth anything. Missing: reconnecting; commands from the server (DMA by messages) are
// refused, since it gets all memory as files; a second socket for those (twin_socket).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "devices/physical/vfio_user/message_socket.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm::vfio_user {

/// What one or several commands do together, such as an access to a register: they have one time
/// limit, so that a server that always answers just in time stalls nobody for long.
struct Operation {
  using Clock = std::chrono::steady_clock;
  explicit Operation(std::chrono::milliseconds time) : limit(time), end(Clock::now() + time) {}
  const std::chrono::milliseconds limit;
  Clock::time_point end;  ///< later, where it waited behind a reset
};

class Connection {
 public:
  struct Options {
    std::string name;                          ///< of the server, for messages: its socket's path
    std::chrono::milliseconds timeout{10000};  ///< for an answer
    /// Called once when the server has gone, from any thread, with no lock held.
    std::function<void()> on_lost;
  };
  struct Reply {
    Bytes payload;
    std::vector<UniqueFd> fds;
  };
  /// What a command may be answered with; anything else breaks the protocol.
  struct Expect {
    std::size_t payload = 0;  ///< at most, bytes
    std::size_t fds = 0;      ///< at most
  };

  /// Agrees on the version. Errors: kHost, also where this process may have no more threads.
  static Result<std::unique_ptr<Connection>> create(MessageSocket socket, Options options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const ServerLimits& limits() const { return limits_; }

  /// Sends and waits for the answer, at most `timeout` (0: the usual one), or longer while the
  /// server is busy with a command that may take longer: many do one thing at a time. Errors:
  /// kHost; the server refused (then refusal() tells its errno), or it has gone. Any thread.
  Result<Reply> call(Command command, std::span<const std::byte> payload, std::span<const int> fds,
                     Expect expect, std::chrono::milliseconds timeout = {});
  /// As call(); the errno value of a refusal is in `refusal`, 0 otherwise.
  Result<Reply> call(Command command, std::span<const std::byte> payload, std::span<const int> fds,
                     Expect expect, std::chrono::milliseconds timeout, int& refusal);

  /// The same as a part of an operation, until its end. Any thread, and one at a time for each
  /// operation.
  Result<Reply> call(Command command, std::span<const std::byte> payload, std::span<const int> fds,
                     Expect expect, Operation& operation, int& refusal);
  Result<Reply> call(Command command, std::span<const std::byte> payload, std::span<const int> fds,
                     Expect expect, Operation& operation);

  /// Any thread.
  bool is_lost() const;
  Error lost_error() const;
  /// For what a parser found wrong with an answer: the server is gone from here on.
  void lose(const std::string& reason);

 private:
  struct Pending {
    Command command;
    Expect expect;
    bool is_done = false;
    std::uint32_t flags = 0;
    std::uint32_t error = 0;
    Reply reply;
    std::chrono::milliseconds limit{0};
    std::chrono::steady_clock::time_point deadline = {};
    bool is_behind_reset = false;  ///< waits, or has waited, for one
  };

  Connection(MessageSocket socket, Options options);
  Status start_reader();
  Status negotiate();
  void read_messages();
  Status take(Message message);
  Status refuse_command(const Header& header);
  Status send(const Header& header, std::span<const std::byte> payload, std::span<const int> fds);
  Result<std::uint16_t> enter(Pending& pending);
  bool wait_for(MutexLock& lock, Pending& pending) GPUVM_REQUIRES(mutex_);
  Result<std::chrono::milliseconds> time_left(Command command, const Operation& operation);
  void give_more_time_to_others() GPUVM_REQUIRES(mutex_);
  Result<Reply> finish(Pending& pending, int& refusal) const GPUVM_REQUIRES(mutex_);

  const Options options_;
  MessageSocket socket_;
  ServerLimits limits_;
  Mutex send_mutex_;  ///< keeps messages whole: one thread sends, while the reader receives
  mutable Mutex mutex_;
  Condition changed_;
  /// What they point to is theirs who wait, and written with the lock held.
  std::map<std::uint16_t, Pending*> pending_ GPUVM_GUARDED_BY(mutex_);
  std::uint16_t next_id_ GPUVM_GUARDED_BY(mutex_) = 1;
  bool is_lost_ GPUVM_GUARDED_BY(mutex_) = false;
  std::string reason_ GPUVM_GUARDED_BY(mutex_);
  std::thread reader_;
};

}  // namespace gpuvm::vfio_user
