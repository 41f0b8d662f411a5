// SPDX-License-Identifier: Apache-2.0
// WordListener: hears what a guest says through sockets that listen: one line in each connection,
// or one message of systemd's notify protocol (sd_notify(3)). One thread accepts, reads and closes,
// and does nothing else: systemd's first process waits for the end of each connection before it
// goes on. All is bounded: connections, their lives, their bytes.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/channels/word_teller.hpp"

struct pollfd;

namespace gpuvm {

class WordListener : public Inspectable {
 public:
  static constexpr std::size_t kMostConnections = 16;  ///< the oldest goes for one more
  static constexpr std::size_t kMostMessage = 16384;   ///< bytes of a notification

  enum class Protocol {
    kLine,          ///< the first line is a word, and the connection is closed
    kNotification,  ///< everything up to the end, which is closed then
  };
  struct Endpoint {
    UniqueFd socket;  ///< listens, does not block
    Protocol protocol = Protocol::kLine;
    WordTeller* teller = nullptr;  ///< outlives this
    /// Not asked again before: it could not be accepted from.
    std::chrono::steady_clock::time_point rests_until = {};
  };
  struct Options {
    std::vector<Endpoint> endpoints;
    /// Whether who has connected is the guest; nobody else is heard. On the listener's thread.
    std::function<bool(const sockaddr_storage&)> is_guest;
    /// The longest life of a connection; what it has not said to its end by then is void.
    std::chrono::milliseconds patience{10000};
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<WordListener>> start(Options options);
  ~WordListener() override { finish(); }
  WordListener(const WordListener&) = delete;
  WordListener& operator=(const WordListener&) = delete;

  /// Hears what has arrived by now, and ends. Once the guest is at rest that is all it has said.
  void finish();
  void inspect(InspectNode& node) const override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    UniqueFd fd;
    Protocol protocol = Protocol::kLine;
    WordTeller* teller = nullptr;
    Clock::time_point end;
    std::string said;
  };
  WordListener(Options options, EventFd stop)
      : options_(std::move(options)), stop_(std::move(stop)) {}
  Status start_thread();
  void run();
  bool take_turn(bool waits);
  int milliseconds_to_wait() const;
  bool serve_connections(const std::vector<pollfd>& polled);
  bool serve(Connection& connection);
  static bool hear(Connection& connection);
  static void hear_end(const Connection& connection);
  bool accept_from(Endpoint& endpoint);
  void rest(Endpoint& endpoint, int error_number);
  void drop_expired();
  void lose(Connection& connection);

  Options options_;
  EventFd stop_;
  std::atomic<bool> stopping_{false};
  std::vector<Connection> connections_;  ///< of the thread; the oldest first
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> strangers_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> rests_{0};
  std::thread thread_;
};

}  // namespace gpuvm
